"""What a file is: chip, device, network, bundle, scenario or graph. A file with faults is still recognised."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

from xbarsim.errors import Fault, InputError, did_you_mean

if TYPE_CHECKING:
    from xbarsim.config.tree import Table

FOLDERS = {"arch_configs": "chip", "workloads": "network", "devices": "device"}
"""Folder of named files -> what lies in it."""

ENDINGS = (".yaml", ".yml", ".xmn")


def kind_of(name: str) -> str:
    """Return ``chip``, ``device``, ``network``, ``bundle``, ``scenario`` or ``graph`` for a path or a name.

    Raise :class:`InputError` for what is none of them, or not even text.
    """
    path = Path(name)
    if path.is_dir():
        return _folder(path)
    if path.parent.suffix == ".xmn" or path.parent.parent.suffix == ".xmn":
        raise InputError(Fault(name, "is a part of a bundle; check the folder NAME.xmn"))
    if path.is_file() and path.suffix == ".xmn":
        raise InputError(Fault(name, "is a file; a bundle is a folder NAME.xmn"))
    if path.exists():
        return {".json": "graph", ".csv": "scenario"}.get(path.suffix) or _by_content(path)
    return _by_name(name)


def _folder(path: Path) -> str:
    if path.suffix == ".xmn":
        return "bundle"
    bundle = (path / "manifest.json").is_file()
    what = "the folder of a bundle is called NAME.xmn" if bundle else "is a folder, and no bundle NAME.xmn"
    raise InputError(Fault(str(path), what))


def _by_name(name: str) -> str:
    from xbarsim.config import folder, known

    names = {where: known(where) for where in FOLDERS}
    stem = Path(name).stem if Path(name).suffix in ENDINGS else name
    for where, kind in FOLDERS.items():
        if stem in names[where]:
            bundle = kind == "network" and (folder(where) / f"{stem}.xmn").is_dir()
            return "bundle" if bundle else kind
    every = sorted({one for listed in names.values() for one in listed})
    raise InputError(f"no file {name!r}, nor a chip, network or device of that name{did_you_mean(name, every)}")


def _by_content(path: Path) -> str:
    """Judge a YAML file by its keys, misspelt ones included; by its folder where they say nothing."""
    from xbarsim.config.parse import parse_file

    tree, faults = parse_file(path)
    scores = _scores(tree)
    best = max(scores, key=lambda kind: scores[kind])
    if scores[best]:
        return best
    if path.absolute().parent.name in FOLDERS:
        return FOLDERS[path.absolute().parent.name]
    raise InputError([*faults, tree.place.fault("has no key of a chip, network, device or scenario file")])


def _scores(tree: Table) -> dict[str, float]:
    """How much of a file belongs to each kind; a key that several kinds have counts for each of them in part."""
    from xbarsim.config import known

    words = _words()
    scores = dict.fromkeys(words, 0.0)
    for key in tree.entries:
        exact = [kind for kind, keys in words.items() if key in keys]
        fitting = exact or [kind for kind, keys in words.items() if get_close_matches(key, keys, 1, 0.7)]
        for kind in fitting:
            scores[kind] += 1 / len(fitting)
    parent = getattr(tree.entries.get("extends"), "value", None)
    if parent is not None:
        scores["device" if parent in known("devices") else "chip"] += 1
    return scores


def _words() -> dict[str, list[str]]:
    """The keys of each kind of file."""
    from xbarsim.chip import Device
    from xbarsim.chip.sections import ChipFile
    from xbarsim.config import Section
    from xbarsim.network.layer_table import LayerTable

    models: dict[str, type[Section]] = {"chip": ChipFile, "network": LayerTable, "device": Device}
    keys = {kind: [field.alias or name for name, field in model.model_fields.items()] for kind, model in models.items()}
    return {**keys, "scenario": ["scenario"]}
