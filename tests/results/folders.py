"""Folders of results for tests of pages: a run, a comparison, and sweeps made by hand."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from functools import lru_cache
from itertools import product
from pathlib import Path
from typing import Any

from mapping.nets import chip

from xbarsim.network import load_network
from xbarsim.results.run import Run
from xbarsim.results.store import write_comparison, write_run
from xbarsim.studies.breakeven import curves
from xbarsim.studies.compare import compare, to_json
from xbarsim.studies.simulate import simulate

SCENARIO = "rotated:3,inverted:2"
METHODS = ("xbm", "piggyback", "finetune")


@lru_cache
def run_of(method: str = "xbm") -> Run:
    return simulate(chip(), load_network("digits"), method, SCENARIO)


def write_folder(path: Path, kind: str, method: str = "xbm") -> Path:
    """A folder of this kind below ``path``."""
    folder = path / kind
    if kind == "run":
        write_run(run_of(method), folder, SCENARIO)
    elif kind == "compare":
        frame = compare(chip(), load_network("digits"), METHODS, SCENARIO)
        result = to_json(frame)
        write_comparison(frame, result, folder, SCENARIO, curves(result["rows"]))
    elif kind == "search":
        write_search(folder)
    else:
        write_sweep(folder, {"one": ONE, "two": TWO, "three": THREE}[kind])
    return folder


@lru_cache
def folder_of(kind: str) -> Path:
    """The same folder for all tests that only read it."""
    return write_folder(Path(tempfile.mkdtemp(prefix="xbarsim-test-")), kind)


ONE = {"adc.bits": [5, 6, 7]}
TWO = {"crossbar.rows": [64, 72, 128], "adc.bits": [5, 6]}
THREE = {**TWO, "device": ["taox_hfox", "puma_serial"]}


def rows_of(grid: Mapping[str, list[Any]]) -> list[dict[str, Any]]:
    """Rows as a sweep writes them: masks of 64 rows are resampled, xbm fails with 128."""
    rows = []
    for values, method in product(product(*grid.values()), METHODS[::2]):
        settings = dict(zip(grid, values, strict=True))
        height = settings.get("crossbar.rows", 72)
        failed = height == 128 and method == "xbm"
        size = settings["adc.bits"] * (1 + 0.1 * (height != 72)) * (1 if method == "xbm" else 1.3)
        masks = "none" if method != "xbm" else "resampled" if height == 64 else "learned"
        row = {**settings, "method": method, "mask_fit": "resample", "masks": None if failed else masks, "fits": True}
        measures = {
            "crossbars": 216, "extra_cells": 0, "read_phases": 1, "switch_latency_ns": 226.0 if method == "xbm" else 7e6,
            "switch_energy_pj": 5590.0 if method == "xbm" else 3e7, "cells_written": 0.0, "pulses": 0.0,
            "mask_bits": 464.0, "norm_bits": 9216.0, "head_bits": 20800.0, "weight_bits": 0.0,
            "energy_per_inference_pj": 1e5 * size, "latency_per_inference_ns": 20000 - 500 * size,
            "break_even": "always", "break_even_inferences": None, "cheaper": None,
        }  # fmt: skip
        rows.append(row | (dict.fromkeys(measures) if failed else measures))
        rows[-1]["error"] = "the mask of layer 'conv1' was learned for 72 rows" if failed else None
    return rows


def write_sweep(folder: Path, grid: Mapping[str, list[Any]]) -> None:
    """``manifest.json`` and ``sweep.json`` of a finished sweep."""
    rows = rows_of(grid)
    folder.mkdir(parents=True)
    manifest = {
        "schema": "xbarsim.store/1", "kind": "sweep", "xbarsim": "0", "chip": {"name": "xbm_72", "file": "xbm_72.yaml"},
        "bundle": {"name": "digits"}, "methods": list(METHODS[::2]), "axes": grid, "points": len(rows),
    }  # fmt: skip
    failed = sum(row["error"] is not None for row in rows)
    synthetic = any(row["masks"] == "resampled" for row in rows)
    result = {"schema": "xbarsim.sweep/1", "chip": "xbm_72", "bundle": "digits", "synthetic": synthetic,
              "failed": failed, "rows": rows}  # fmt: skip
    (folder / "manifest.json").write_text(json.dumps(manifest))
    (folder / "sweep.json").write_text(json.dumps(result))


def write_search(folder: Path) -> None:
    """``manifest.json`` and ``search.json`` of a finished search; one trial failed, one breaks a bound."""
    rows = []
    for trial, row in enumerate(rows_of(TWO)):
        good = row["error"] is None
        area = 100.0 - 5 * row["adc.bits"] if good else None
        rows.append({"trial": trial, **row, "area_mm2": area, "feasible": good and trial != 0, "front": False})
    for row in rows:
        row["front"] = row["feasible"] and row["method"] == "xbm"
    folder.mkdir(parents=True)
    manifest = {
        "schema": "xbarsim.store/1", "kind": "search", "xbarsim": "0", "chip": {"name": "xbm_72"},
        "bundle": {"name": "digits"}, "space": {key: list(values) for key, values in TWO.items()}, "trials": len(rows),
    }  # fmt: skip
    result = {
        "schema": "xbarsim.search/1", "chip": "xbm_72", "bundle": "digits", "synthetic": True,
        "minimize": ["energy", "latency"], "maximize": ["area"], "constraints": ["latency<=17000"],
        "failed": sum(row["error"] is not None for row in rows), "assumptions": ["area of x is not published"],
        "front": [row for row in rows if row["front"]], "trials": rows,
    }  # fmt: skip
    (folder / "manifest.json").write_text(json.dumps(manifest))
    (folder / "search.json").write_text(json.dumps(result))
