"""``xbarsim import``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from xbarsim.cli import common
from xbarsim.errors import InputError

if TYPE_CHECKING:
    from xbarsim.network.importers import Imported
    from xbarsim.network.ops import Shape

SCHEMA = "xbarsim.import/1"

TABLES = ("neurosim", "scalesim")
CHECKPOINTS = ("piggyback", "ksm", "packnet", "cpg", "peft")
KINDS = ("onnx", *TABLES, *CHECKPOINTS)

OPTIONS = {
    "backbone": CHECKPOINTS, "task": ("piggyback", "peft"), "network": ("piggyback", "ksm", "packnet", "cpg"),
    "modules": ("piggyback", "ksm", "packnet", "cpg"), "prefix": CHECKPOINTS, "trust_pickle": CHECKPOINTS,
    "weight_bits": ("onnx",), "input_bits": ("onnx",), "input_shape": ("onnx",), "name": ("onnx", *TABLES),
}  # fmt: skip
"""Options and the kinds that take them."""


@click.command("import")
@click.argument("kind", type=common.Choice(KINDS))
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Write NAME.xmn, or of tables NAME.yaml.")
@click.option("--backbone", help="Bundle whose masks a checkpoint holds; --out is that bundle with the new tasks.")
@click.option("--task", help="Name of the task, of files that hold one without a name.")
@click.option("--network", help="Network that numbers modules, of files with layers by place: resnet50, vgg16, …")
@click.option("--modules", type=click.Path(path_type=Path), help="Or a file with the names of its modules, one a line.")
@click.option("--prefix", help="Stands before the names of all modules in the file; is taken off.")
@click.option("--trust-pickle", is_flag=True, default=None, help="Read files that hold objects and not tensors only.")
@click.option("--weight-bits", type=click.IntRange(2, 16), help="Width of weights; 8 unless given.")
@click.option("--input-bits", type=click.IntRange(1, 16), help="Width of inputs; 8 unless given.")
@click.option("--input-shape", metavar="C,H,W", help="Input of an ONNX network that leaves it open.")
@click.option("--name", help="Name in results; that of the file unless given.")
@common.form()
def command(kind: str, file: Path, out: Path, form: str, **options: Any) -> None:
    """Turn FILE into a bundle or a layer table.

    KIND: onnx (a bundle without tasks), neurosim, scalesim (layer tables: shapes only), or a checkpoint of an adaption
    method on a backbone bundle: piggyback, ksm, packnet, cpg, peft (the folder of a LoRA adapter).
    """
    given = {key: value for key, value in options.items() if value is not None}
    _check(kind, out, given)
    made = _table(kind, file, out, given) if kind in TABLES else _bundle(kind, file, out, given)
    for warning in made["warnings"]:
        click.echo(f"warning: {warning}", err=True)
    if form == "json":
        common.emit_json({"schema": SCHEMA, **made})
    elif form == "csv":
        common.emit_csv([{**made, "tasks": " ".join(made["tasks"]), "warnings": len(made["warnings"])}])
    else:
        tasks = f", tasks {', '.join(made['tasks'])}" if made["tasks"] else ""
        click.echo(f"{out}: {made['layers']} crossbar layers, {made['weights']:,} weights{tasks}")


def _check(kind: str, out: Path, given: dict[str, Any]) -> None:
    """Refuse options that the kind does not take, and outputs that cannot be, before any work is done."""
    wrong = [f"--{key.replace('_', '-')}: {kind} takes no such option" for key in given if kind not in OPTIONS[key]]
    if kind in CHECKPOINTS and "backbone" not in given:
        wrong.append(f"--backbone: {kind} needs the bundle that the checkpoint belongs to")
    if "network" in given and "modules" in given:
        wrong.append("--modules: --network says the names already; give one of them")
    ending = ".yaml" if kind in TABLES else ".xmn"
    if out.suffix != ending:
        wrong.append(f"--out {out}: {kind} makes {out.stem}{ending}")
    if wrong:
        raise InputError(wrong)
    common.check_new(out)


def _table(kind: str, file: Path, out: Path, given: dict[str, Any]) -> dict[str, Any]:
    from xbarsim.network.graph import derive_layers
    from xbarsim.network.importers import read_neurosim, read_scalesim

    made = (read_neurosim if kind == "neurosim" else read_scalesim)(file, given.get("name", ""))
    made.blueprint.write(out)
    layers = derive_layers(made.blueprint.nodes)
    return _row(kind, out, layers, (), made.warnings)


def _bundle(kind: str, file: Path, out: Path, given: dict[str, Any]) -> dict[str, Any]:
    from xbarsim.network.bundle_writer import write_bundle

    made = _onnx(file, given) if kind == "onnx" else _checkpoint(kind, file, given)
    network = write_bundle(out, made.content)
    return _row(kind, out, network.layers, tuple(network.task_info), made.warnings)


def _row(kind: str, out: Path, layers: Any, tasks: tuple[str, ...], warnings: tuple[str, ...]) -> dict[str, Any]:
    return {
        "kind": kind,
        "out": str(out),
        "layers": len(layers),
        "weights": sum(layer.weights for layer in layers.values()),
        "tasks": list(tasks),
        "warnings": list(warnings),
    }


def _onnx(file: Path, given: dict[str, Any]) -> Imported:
    from xbarsim.network.importers import read_onnx

    shape = _shape(given.pop("input_shape", None))
    return read_onnx(file, shape=shape, **given)


def _shape(text: str | None) -> Shape | None:
    if text is None:
        return None
    sizes = [int(part) if part.strip().isdigit() else 0 for part in text.split(",")]
    if len(sizes) != 3 or min(sizes) < 1:
        raise InputError(f"--input-shape {text!r}: write channels, height and width, as in 3,224,224")
    return sizes[0], sizes[1], sizes[2]


def _checkpoint(kind: str, file: Path, given: dict[str, Any]) -> Imported:
    try:
        from xbarsim.learning.checkpoint_parts import Names
        from xbarsim.learning.checkpoints import READERS
    except ImportError as missing:
        if (missing.name or "").partition(".")[0] != "torch":
            raise
        raise InputError("reading checkpoints needs PyTorch: pip install 'xbarsim[torch]'") from None
    names = Names.of(given.get("network", ""), given.get("modules"), given.get("prefix", ""))
    more = {key: given[key] for key in ("task",) if key in given}
    trusted = bool(given.get("trust_pickle"))
    return READERS[kind](file, given["backbone"], names=names, trust_pickle=trusted, **more)
