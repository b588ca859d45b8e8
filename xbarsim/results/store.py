"""Run directories: written beside and renamed, so that a half-written one is never seen."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path
from typing import IO, Any

import pandas as pd
import yaml

from xbarsim.chip import Chip
from xbarsim.errors import InputError, XbarsimError
from xbarsim.results.figures import break_even_figure, save
from xbarsim.results.frames import facts_of, frame_of
from xbarsim.results.placed import placement_json
from xbarsim.results.run import Run

SET_BY_USER = "set by the user"
"""What a chip notes on a figure that came with the call."""

PACKAGES = ("xbarsim", "numpy", "numba", "simpy", "pandas")


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """A folder to fill; it becomes ``path`` when all went well, and is gone when not."""
    path = path.absolute()
    draft = _beside(path)
    try:
        draft.mkdir()
        yield draft
        if os.path.lexists(path):
            raise InputError(f"{path}: exists already; name a new folder or remove it")
        draft.rename(path)
    except OSError as reason:
        raise not_written(path, reason) from reason
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def write_text(path: Path, text: str) -> None:
    """Write a file in one step; what is not a plain file, such as ``/dev/stdout``, is written into."""
    path = Path(os.path.realpath(path))
    if path.exists() and not path.is_file():
        path.write_text(text, encoding="utf-8")
        return
    with new_file(path) as file:
        file.write(text.encode())


@contextmanager
def new_file(path: Path) -> Iterator[IO[bytes]]:
    """A file to fill; it becomes ``path`` when all went well, and is gone when not."""
    draft = _beside(path.absolute())
    try:
        with draft.open("wb") as file:
            yield file
        draft.replace(path)
    except OSError as reason:
        raise not_written(path, reason) from reason
    finally:
        with suppress(OSError):
            draft.unlink(missing_ok=True)


def _beside(path: Path) -> Path:
    """A name for the draft of a path; chosen before anything is made, so that it can always be removed."""
    return path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")


def not_written(path: Path, reason: OSError) -> XbarsimError:
    """What to raise when the system refuses to write."""
    return XbarsimError(f"{path}: cannot be written: {(reason.strerror or str(reason)).lower()}")


def write_run(run: Run, path: Path, scenario: str | None = None) -> None:
    """Write resolved configuration, provenance, summary and tidy tables of a run.

    ``scenario`` is the text that it was asked for with.
    """
    with new_folder(path) as folder:
        _fill(run, folder, scenario)


def write_comparison(
    frame: pd.DataFrame, result: dict[str, Any], path: Path, scenario: str | None = None,
    curves: list[dict[str, Any]] | None = None,
) -> None:  # fmt: skip
    """Write a comparison, with the run directory of every method (on every device) below it.

    ``curves``: energy per inference over inferences per switch, as rows and as a figure.
    """
    with new_folder(path) as folder:
        _json(folder / "summary.json", result)
        frame.to_csv(folder / "methods.csv", index=False)
        for name in ("pairs", "ranges"):
            if result.get(name):
                pd.DataFrame(result[name]).to_csv(folder / f"{name}.csv", index=False)
        if curves:
            table = pd.DataFrame(curves)
            table.to_csv(folder / "breakeven.csv", index=False)
            save(break_even_figure(table, f"{result['bundle']} on {result['chip']}"), folder, "breakeven")
        for name, run in frame.attrs["runs"].items():
            (folder / name).mkdir(parents=True)
            _fill(run, folder / name, scenario)


def _fill(run: Run, folder: Path, scenario: str | None) -> None:
    summary = run.to_json()
    chip = run.placement.chip
    _json(folder / "summary.json", summary)
    _json(folder / "provenance.json", _provenance(run, scenario))
    (folder / "chip.yaml").write_text(yaml.safe_dump(_resolved(chip), sort_keys=False), encoding="utf-8")
    run.energy.to_csv(folder / "ledger.csv", index=False)
    tables = {name: summary[name] for name in ("tasks", "switches", "layers", "components")}
    tables |= {"wear_pes": summary["wear"]["pes"], "wear_lifetime": summary["lifetime"]["rows"]}
    tables |= {"wear_failures": summary["lifetime"]["failed"]}
    for name, rows in tables.items():
        if rows or name in summary:
            frame_of(rows).to_csv(folder / f"{name}.csv", index=False)
    facts_of(run).to_csv(folder / "facts.csv", index=False)
    _json(folder / "placement.json", placement_json(run.placement))
    run.usage.frame.to_csv(folder / "usage.csv", index=False)


def _resolved(chip: Chip) -> dict[str, Any]:
    """The chip as a file that can be read again: what the user set is an assumption, not its former fact."""
    resolved: dict[str, Any] = _plain(chip.resolved)
    for traced in chip.traced:
        if traced.note == SET_BY_USER:
            _forget(resolved, traced.path)
            resolved.setdefault("sources", {})[traced.path] = {"assumed": SET_BY_USER}
    return resolved


def _forget(section: dict[str, Any], path: str) -> None:
    """Remove the source of a key from its file and from the sections that brought sources of their own."""
    section.get("sources", {}).pop(path, None)
    first, _, rest = path.partition(".")
    inner = section.get(first)
    if rest and isinstance(inner, dict):
        _forget(inner, rest)


def _provenance(run: Run, scenario: str | None) -> dict[str, Any]:
    """What a run was made from and with: enough to make it again."""
    chip, network = run.placement.chip, run.placement.network
    resolved = json.dumps(_resolved(chip), sort_keys=True)
    return {
        "chip": {"name": chip.name, "file": chip.origin, "sha256": hashlib.sha256(resolved.encode()).hexdigest()},
        "network": {
            "name": network.name,
            "file": network.source,
            "fingerprint": network.fingerprint,
            "synthetic": network.synthetic,
        },
        "method": run.method,
        "scenario": scenario or ",".join(f"{entry.task}:{entry.inferences}" for entry in run.inferences),
        "seed": run.seed,
        "engine": run.engine,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "packages": {name: version(name) for name in PACKAGES},
    }


def _json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def _plain(value: Any) -> Any:
    """Configuration as YAML and JSON hold it."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return float(value)
