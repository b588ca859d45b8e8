"""Runs as tidy tables, and as notebooks show them."""

from __future__ import annotations

from dataclasses import replace
from html.parser import HTMLParser

import pandas as pd
import pytest
from results.folders import folder_of, run_of

NAMES = {"inferences", "switches", "layers", "components", "wear", "lifetime", "energy", "usage", "facts"}


def test_every_table_is_there_with_a_row_per_thing() -> None:
    run = run_of("piggyback")
    result = run.to_json()
    assert set(run.tables) == NAMES
    rows = {"inferences": "tasks", "switches": "switches", "layers": "layers", "components": "components"}
    for name, key in rows.items():
        assert len(run.tables[name]) == len(result[key])
    assert len(run.tables["wear"]) == len(run.wear.elements)
    assert len(run.tables["facts"]) == len(run.placement.chip.traced)
    assert run.tables["energy"] is run.energy
    assert run.tables is run.tables


def test_columns_are_flat_and_carry_units() -> None:
    for name, frame in run_of().tables.items():
        assert len(set(frame.columns)) == len(frame.columns), name
        assert not any(isinstance(value, dict | list) for value in frame.to_numpy().ravel().tolist()), name
    switches = run_of().tables["switches"]
    assert {"from", "to", "latency_ns", "energy_pj", "moved_mask_bits"} <= set(switches.columns)


def test_tables_agree_with_the_run() -> None:
    run = run_of("piggyback")
    spent = run.tables["components"]["energy_pj"].sum()
    assert spent == pytest.approx(run.to_json()["energy_pj"])
    layered = run.tables["layers"]["switch_energy_pj"].sum()
    ledger = run.energy[(run.energy["phase"] == "switch") & (run.energy["layer"] != "")]["energy_pj"].sum()
    assert layered == pytest.approx(ledger)
    assert run.tables["wear"]["writes_max"].max() == run.wear.writes_max


@pytest.mark.parametrize("name", ["tasks", "switches", "layers", "components", "wear_pes", "facts"])
def test_a_run_directory_holds_the_same_tables(name: str) -> None:
    ours = run_of().tables[{"tasks": "inferences", "wear_pes": "wear"}.get(name, name)]
    read = pd.read_csv(folder_of("run") / f"{name}.csv")
    assert list(read.columns) == list(ours.columns)
    for column in ours:
        if pd.api.types.is_numeric_dtype(ours[column]):
            assert read[column].tolist() == pytest.approx(ours[column].tolist(), nan_ok=True)


class Balance(HTMLParser):
    """Every tag that is opened is closed; what text there is."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.said = ""
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open.append(tag)
        self.tags.add(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.said += data


def shown(text: str) -> Balance:
    reader = Balance()
    reader.feed(text)
    reader.close()
    assert reader.open == []
    return reader


def test_a_notebook_shows_what_matters() -> None:
    reader = shown(run_of()._repr_html_())
    for word in ("digits on xbm_72 with xbm", "rotated", "inverted", "mean switch latency", "latency (ns)", "masks"):
        assert word in reader.said
    assert not {"script", "style", "img"} & reader.tags
    assert "Synthetic" not in reader.said


def test_a_notebook_escapes_names() -> None:
    run = run_of()
    placement = replace(run.placement, network=replace(run.placement.network, name="<b onclick=x>&"))
    reader = shown(replace(run, placement=placement)._repr_html_())
    assert "b" not in reader.tags
    assert "<b onclick=x>& on xbm_72" in reader.said


def test_long_scenarios_are_cut() -> None:
    run = run_of()
    text = replace(run, inferences=run.inferences * 10)._repr_html_()
    assert "12 more rows" in shown(text).said
