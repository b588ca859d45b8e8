"""Run directories: written beside and renamed, so that a half-written one is never seen."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from xbarsim.errors import InputError
from xbarsim.results.run import Run

PACKAGES = ("xbarsim", "numpy", "numba", "simpy", "pandas")


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """A folder to fill; it becomes ``path`` when all went well, and is gone when not."""
    path = path.absolute()
    draft = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        yield draft
        draft.chmod(0o755)
        if path.exists():
            raise InputError(f"{path}: exists already; name a new folder or remove it")
        draft.rename(path)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def write_text(path: Path, text: str) -> None:
    """Write a file in one step."""
    handle, draft = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.absolute().parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(draft, 0o644)
        os.replace(draft, path)
    finally:
        if os.path.exists(draft):
            os.unlink(draft)


def write_run(run: Run, path: Path) -> None:
    """Write resolved configuration, provenance, summary and tidy tables of a run."""
    with new_folder(path) as folder:
        _fill(run, folder)


def write_comparison(frame: pd.DataFrame, result: dict[str, Any], path: Path) -> None:
    """Write a comparison, with the run directory of every method below it."""
    with new_folder(path) as folder:
        _json(folder / "summary.json", result)
        frame.to_csv(folder / "methods.csv", index=False)
        for method, run in frame.attrs["runs"].items():
            (folder / method).mkdir()
            _fill(run, folder / method)


def _fill(run: Run, folder: Path) -> None:
    summary = run.to_json()
    chip = run.placement.chip
    _json(folder / "summary.json", summary)
    _json(folder / "provenance.json", _provenance(run))
    (folder / "chip.yaml").write_text(yaml.safe_dump(_plain(chip.resolved), sort_keys=False), encoding="utf-8")
    run.energy.to_csv(folder / "ledger.csv", index=False)
    for name in ("tasks", "switches", "layers", "components"):
        pd.DataFrame(summary[name]).to_csv(folder / f"{name}.csv", index=False)
    facts = [
        {"key": t.path, "value": float(t.value), "unit": t.unit, "publication": t.publication, "place": t.place,
         "how": t.how, "note": t.note}
        for t in chip.traced
    ]  # fmt: skip
    pd.DataFrame(facts).to_csv(folder / "facts.csv", index=False)


def _provenance(run: Run) -> dict[str, Any]:
    network = run.placement.network
    resolved = json.dumps(_plain(run.placement.chip.resolved), sort_keys=True)
    return {
        "chip": {"name": run.placement.chip.name, "sha256": hashlib.sha256(resolved.encode()).hexdigest()},
        "network": {"name": network.name, "fingerprint": network.fingerprint, "synthetic": network.synthetic},
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
