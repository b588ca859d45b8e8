"""Mask fit in whole runs: what a window reads and converts, counted column by column, and what the result says."""

from __future__ import annotations

import numpy as np
import pytest

import xbarsim as xs

PHASES, SLICES, COLS = 8, 4, 72


@pytest.fixture(scope="module")
def net() -> xs.Network:
    return xs.load_bundle("digits")


def chip(rows: int, policy: str, **settings: object) -> xs.Chip:
    return xs.load_chip("xbm_72", {"crossbar.rows": rows, "mapping.mask_fit": policy, **settings})


def blocks_of(rows: int, height: int, policy: str) -> list[list[tuple[int, int]]]:
    """For every column of a channel of ``rows`` weights: (mask group, weights) that are read one after another."""
    groups = [row // 72 for row in range(rows)]
    if policy == "repack":
        pieces = [groups[at : at + 72] for at in range(0, rows, 72)]
        return [[(part[0], len(part[at : at + height]))] for part in pieces for at in range(0, len(part), height)]
    return [
        [(group, groups[at : at + height].count(group)) for group in sorted({*groups[at : at + height]})]
        for at in range(0, rows, height)
    ]


def counted(net: xs.Network, task: str, height: int, policy: str) -> dict[tuple[str, str], int]:
    """Reads, drives, conversions and gates set of one inference, heads and layers without masks left out."""
    found = dict.fromkeys([("crossbar", "read"), ("dac", "drive"), ("adc", "convert"), ("gate", "set")], 0)
    for name, layer in net.layers.items():
        if layer.head:
            continue
        mask = net.task(task).mask("xbm", name).values  # type: ignore[union-attr]
        for column in blocks_of(layer.rows, height, policy):
            for group, rows in column:
                on = np.repeat(mask[group], SLICES)
                active = sum(on[at : at + COLS].any() for at in range(0, len(on), COLS))
                found["crossbar", "read"] += layer.windows * PHASES * rows * (on.sum() + active)
                found["dac", "drive"] += layer.windows * PHASES * rows * active
                found["adc", "convert"] += layer.windows * PHASES * (on.sum() + active)
                found["gate", "set"] += layer.windows * len(on) * (len(column) > 1)
    return {key: int(count) for key, count in found.items()}


@pytest.mark.parametrize("policy", ["repack", "phased"])
@pytest.mark.parametrize("rows", [40, 64, 72, 128])
def test_counts_of_an_inference(net: xs.Network, policy: str, rows: int) -> None:
    run = xs.simulate(chip(rows, policy), net, "xbm", "rotated:1")
    masked = [name for name, layer in net.layers.items() if not layer.head]
    for (component, action), wanted in counted(net, "rotated", rows, policy).items():
        found = sum(
            run.ledger.count(phase="inference", layer=name, component=component, action=action) for name in masked
        )
        assert found == wanted, (component, action)


def test_a_fitting_mask_costs_nothing_under_any_policy(net: xs.Network) -> None:
    runs = [
        xs.simulate(chip(72, policy), net, "xbm").to_json() for policy in ("strict", "repack", "phased", "resample")
    ]
    for run in runs:
        assert run["mask_fit"].pop("policy") in ("strict", "repack", "phased", "resample")
        assert run["mask_fit"]["fits"]
        assert run["mask_fit"]["masks"] == "learned"
        for key in ("plan_seconds", "engine_seconds", "assumptions"):
            del run[key]
    assert all(run == runs[0] for run in runs)


@pytest.mark.parametrize("policy", ["repack", "phased", "resample"])
def test_methods_without_masks_run_on_the_same_grid(net: xs.Network, policy: str) -> None:
    runs = [xs.simulate(chip(128, policy), net, method) for method in ("xbm", "finetune")]
    placements = [
        {name: (site.grid.crossbars, site.copies, site.first_tile) for name, site in run.placement.sites.items()}
        for run in runs
    ]
    assert placements[0] == placements[1]
    fits = [run.to_json()["mask_fit"] for run in runs]
    assert fits[0]["crossbars"] == fits[1]["crossbars"]
    assert (fits[1]["phases"], fits[1]["masks"]) == (1, "none")  # nothing is gated, so all rows are read at once


def test_resampled_masks_are_labelled_and_seeded(net: xs.Network) -> None:
    made = chip(128, "resample")
    run = xs.simulate(made, net, "xbm")
    assert run.synthetic
    assert run.to_json()["synthetic"]
    assert run.to_json()["mask_fit"]["masks"] == "resampled"
    assert any("energy and latency only" in line for line in run.assumptions)
    assert not xs.simulate(made, net, "finetune").synthetic
    others = [xs.simulate(made, xs.load_bundle("digits", seed=seed), "xbm").to_json()["tasks"] for seed in (0, 0, 1)]
    assert run.to_json()["tasks"] == others[0] == others[1] != others[2]


def test_repacking_takes_columns_and_phases_take_reads(net: xs.Network) -> None:
    repack, phased = (xs.simulate(chip(64, policy), net, "xbm").to_json() for policy in ("repack", "phased"))
    assert repack["mask_fit"]["extra_cells"] > 0 == phased["mask_fit"]["extra_cells"]
    assert repack["mask_fit"]["crossbars"] > phased["mask_fit"]["crossbars"] == phased["mask_fit"]["dense_crossbars"]
    assert phased["mask_fit"]["phases"] == 2
    assert phased["tasks"][0]["first_latency_ns"] > repack["tasks"][0]["first_latency_ns"]
    for run in (repack, phased):
        assert run["switches"][0]["mask_bits"] == 464  # the learned mask is what is stored


def test_strict_names_the_choices(net: xs.Network) -> None:
    with pytest.raises(
        xs.InputError, match=r"learned for columns of 72 rows.*repack.*phased.*resample.*crossbar\.rows=72"
    ):
        xs.simulate(chip(128, "strict"), net, "xbm")


def test_column_masks_of_every_method_follow(net: xs.Network) -> None:
    """Shifts and scales come along with the columns that they belong to."""
    methods = [name for name in ("xma", "xma2", "xst") if all(name in task.methods for task in net.tasks.values())]
    for method in methods:
        for policy in ("repack", "phased", "resample"):
            run = xs.simulate(chip(128, policy), net, method).to_json()
            assert run["mask_fit"]["masks"] == ("resampled" if policy == "resample" else "learned")
