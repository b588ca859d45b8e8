"""Repeats cost nothing and change nothing; files say the same as text; arrivals hold inputs back."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import xbarsim as xs
from xbarsim.dataflow.scenario import Entry, Repeat, flatten, parse_scenario


@pytest.fixture(scope="module")
def chip():
    return xs.load_chip("xbm_72")


@pytest.fixture(scope="module")
def digits():
    return xs.load_bundle("digits")


def outcome(run):
    """Everything of a run that does not depend on how the scenario was written."""
    data = run.to_json()
    switches = {(s["from"], s["to"]): round(s["latency_ns"], 6) for s in data["switches"]}
    return data["latency_ns"], data["firings"], str(data["wear"]), switches


@settings(deadline=None, max_examples=12)
@given(
    times=st.integers(5, 24),
    counts=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    after=st.integers(1, 3),
    method=st.sampled_from(["xbm", "finetune"]),
)
def test_folded_repeats_equal_the_written_out_scenario(times, counts, after, method):
    chip, net = xs.load_chip("xbm_72"), xs.load_bundle("digits")
    body = f"digits:{counts[0]},rotated:{counts[1]}"
    folded = xs.simulate(chip, net, method, f"{times}*({body}),inverted:{after}")
    full = xs.simulate(chip, net, method, ",".join([body] * times) + f",inverted:{after}")
    assert outcome(folded) == outcome(full)
    assert folded.ledger.energy_pj() == pytest.approx(full.ledger.energy_pj(), rel=1e-12)
    assert folded.firings_executed <= full.firings_executed


def test_a_million_repeats_execute_no_more_than_a_few(chip, digits):
    run = xs.simulate(chip, digits, "xbm", "1000000*(digits:3,rotated:5)")
    few = xs.simulate(chip, digits, "xbm", "40*(digits:3,rotated:5)")
    assert run.firings == 25_000 * few.firings
    assert run.firings_executed < 2 * few.firings
    assert run.to_json()["tasks"][0]["repeats"] == 1_000_000


def test_both_executors_agree_on_folded_repeats(chip, digits):
    runs = [xs.simulate(chip, digits, "xbm", "6*(digits:1,rotated:2)", engine=e) for e in ("compiled", "reference")]
    assert outcome(runs[0]) == outcome(runs[1])
    assert runs[0].firings_executed == runs[1].firings_executed


def test_nested_repeats_expand(digits):
    items = parse_scenario("2*(digits:1,3*(rotated:2)),inverted", digits)
    assert items == (Repeat(2, (Entry("digits", 1), Repeat(3, (Entry("rotated", 2),)))), Entry("inverted", 1))
    assert [entry.task[0] for _, entry in flatten(items, 100)] == list("drrrdrrri")
    assert [leaf for leaf, _ in flatten(items, 100)] == [0, 1, 1, 1, 0, 1, 1, 1, 2]
    with pytest.raises(xs.InputError, match="more than 5 entries"):
        flatten(items, 5)


def test_yaml_says_the_same_as_text(digits, write):
    path = write("s.yaml", "scenario:\n- {task: digits, inferences: 3}\n- {repeat: 2, of: [{task: rotated}]}\n")
    assert parse_scenario(str(path), digits) == parse_scenario("digits:3,2*(rotated)", digits)


def test_arrivals_hold_inputs_back(chip, digits, write):
    path = write("t.csv", "time_ns,task\n0,digits\n0,digits\n500000,digits\n900000.5,rotated\n")
    assert parse_scenario(str(path), digits)[0] == Entry("digits", 3, (0, 0, 500_000_000))
    rows = xs.simulate(chip, digits, "xbm", str(path)).to_json()["tasks"]
    alone = xs.simulate(chip, digits, "xbm", "digits:1").to_json()["tasks"][0]["first_latency_ns"]
    assert rows[0]["last_response_ns"] == pytest.approx(alone, rel=0.02)  # it came to an idle pipeline
    assert rows[1]["first_response_ns"] > alone  # it waited for the switch at least
    assert rows[0]["first_response_ns"] > rows[0]["first_latency_ns"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("  ", "is empty"),
        ("digits:0", "'0' is not a whole number of inferences"),
        ("digits:-1", "'-1' is not a whole number"),
        ("digits:1.5", "'1.5' is not a whole number"),
        ("digits:1,,rotated", "expected a task"),
        ("2*digits", "after 2\\* a group in parentheses must follow"),
        ("2*(digits", "not closed"),
        ("digits:1)", "unexpected '\\)'"),
        ("dgits:2", "no task 'dgits'; known: .*; did you mean 'digits'\\?"),
        ("missing.yaml", "no such file"),
    ],
)
def test_faults_name_place_and_way_out(digits, text, message):
    with pytest.raises(xs.InputError, match=message):
        parse_scenario(text, digits)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("time,task\n0,digits\n", "t.csv:1:1: has no column 'time_ns'"),
        ("time_ns,task\nx,digits\n", "t.csv:2:1: time_ns: 'x' is not a time"),
        ("time_ns,task\n5,digits\n1,digits\n", "t.csv:3:1: time_ns: 1 ns lies before"),
        ("time_ns,task\n5,\n", "t.csv:2:1: task: names no task"),
        ("time_ns,task\n", "is empty"),
    ],
)
def test_faults_of_a_trace_have_lines(digits, write, text, message):
    with pytest.raises(xs.InputError, match=message):
        parse_scenario(str(write("t.csv", text)), digits)
