from __future__ import annotations

from fractions import Fraction

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from xbarsim.config.decimals import Written, decimal, exact
from xbarsim.config.scalars import Doubtful, describe, plain


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e4", 10000.0),
        ("1E+3", 1000.0),
        ("1.e3", 1000.0),
        ("-2.5e-3", -0.0025),
        (".5", 0.5),
        ("5.", 5.0),
        ("+1.0", 1.0),
        ("1_000.5", 1000.5),
        ("012.5", 12.5),
    ],
)
def test_every_notation_of_a_decimal_is_a_number(text: str, value: float) -> None:
    assert plain(text) == value
    assert isinstance(plain(text), float)


@pytest.mark.parametrize(
    ("text", "value"),
    [("0", 0), ("-7", -7), ("+3", 3), ("65_536", 65536), ("0x1F", 31), ("0b101", 5), ("0o17", 15)],
)
def test_whole_numbers(text: str, value: int) -> None:
    assert plain(text) == value
    assert type(plain(text)) is int


@pytest.mark.parametrize("text", ["1:30", "2016-06-18", "190:20:30", "1.2.3", "4 ns", "=", "e3", ".", "1e", "y", "_1"])
def test_what_only_looks_like_a_number_is_text(text: str) -> None:
    assert plain(text) == text


@pytest.mark.parametrize(
    ("text", "value"),
    [("", None), ("~", None), ("null", None), ("true", True), ("False", False), ("TRUE", True)],
)
def test_constants(text: str, value: object) -> None:
    assert plain(text) is value


@pytest.mark.parametrize("text", ["on", "off", "yes", "no", "On", "NO", "Yes", "OFF"])
def test_switches_are_refused_with_the_way_out(text: str) -> None:
    with pytest.raises(Doubtful, match=r"write (true|false), or quote it"):
        plain(text)


@pytest.mark.parametrize("text", ["012", "-007", "00", "0_1"])
def test_a_leading_zero_is_refused(text: str) -> None:
    with pytest.raises(Doubtful, match="octal or decimal"):
        plain(text)


@pytest.mark.parametrize("text", [".inf", "-.inf", "+.INF", ".nan", ".NaN"])
def test_not_finite_is_refused(text: str) -> None:
    with pytest.raises(Doubtful, match="finite"):
        plain(text)


@pytest.mark.parametrize("text", ["1e999", "-1e999", "1e-999999999", "9" * 5000, "." + "9" * 5000, "1e" + "9" * 5000])
def test_out_of_range_is_refused(text: str) -> None:
    with pytest.raises(Doubtful, match="range"):
        plain(text)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_float_survives_its_own_notation(number: float) -> None:
    read = plain(repr(number))
    assert read == number
    assert exact(read) == Fraction(repr(number)) == exact(number)


@given(st.integers())
def test_an_integer_survives_its_own_notation(number: int) -> None:
    assert plain(str(number)) == number


@given(st.text(max_size=12))
def test_any_text_is_read_or_refused_but_never_crashes(text: str) -> None:
    try:
        value = plain(text)
    except Doubtful:
        return
    assert value is None or isinstance(value, bool | int | float | str)


@given(st.fractions())
def test_an_exact_number_survives_its_printed_form(number: Fraction) -> None:
    assert exact(decimal(number)) == number


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-1000, max_value=1000, places=30))
def test_thirty_places_are_kept(number: object) -> None:
    assert exact(Written(str(number))) == Fraction(str(number)) == exact(str(number))


@given(st.floats(min_value=-1e15, max_value=1e15))
def test_a_printed_number_is_yaml(number: float) -> None:
    printed = yaml.safe_dump(decimal(exact(number))).removesuffix("...\n").strip()
    assert exact(plain(printed)) == exact(number)


def test_the_decimal_and_not_the_nearest_binary_fraction() -> None:
    assert exact(1.28) == exact("1.28") == exact(Written("1.28")) == Fraction(32, 25)
    assert exact(Written("1.28e-3")) == Fraction(4, 3125)
    assert exact("1/3") == Fraction(1, 3)
    assert decimal(Fraction(32, 25)) == 1.28
    assert decimal(Fraction(5)) == 5
    assert decimal(Fraction(1, 3)) == "1/3"
    assert decimal(Fraction("-0.10000000000000000000001")) == "-0.10000000000000000000001"


@pytest.mark.parametrize("value", [True, None, "ten", "1/0", "", "1.2.3", float("nan"), float("inf"), [1], "0x1"])
def test_not_a_number(value: object) -> None:
    with pytest.raises(ValueError, match="not a number"):
        exact(value)


def test_how_messages_call_a_value() -> None:
    assert describe("8") == "text '8'"
    assert describe(None) == "nothing"
    assert describe(True) == "true"
    assert describe(10000.0, "1e4") == "1e4"
    assert describe(8) == "8"
