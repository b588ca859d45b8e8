"""What a plain word in a YAML file means: the few readings we allow, and the traps we refuse.

YAML 1.1 reads ``1e4`` as text, ``no`` as false, ``012`` as ten, ``1:30`` as ninety and ``2016-06-18`` as
a date. Here a number is a number in every notation, true and false have one spelling each (in three
cases), and everything doubtful is refused with the way out instead of being guessed.
"""

from __future__ import annotations

import math
import re

from xbarsim.config.decimals import Written

_DIGITS = r"[0-9]+(?:_[0-9]+)*"
_WHOLE = re.compile(rf"[-+]?{_DIGITS}")
_BASED = re.compile(r"[-+]?(?:0x[0-9a-fA-F]+|0b[01]+|0o[0-7]+)")
_DECIMAL = re.compile(rf"[-+]?(?:{_DIGITS}\.?(?:{_DIGITS})?|\.{_DIGITS})(?:[eE][-+]?[0-9]+)?")
_OCTAL = re.compile(r"[-+]?0[0-9_]+")
_NOT_FINITE = re.compile(r"[-+]?\.(?:inf|nan)", re.IGNORECASE)
_CONSTANTS: dict[str, bool | None] = {"": None, "~": None, "null": None, "Null": None, "NULL": None}
_CONSTANTS |= {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_SWITCHES = {"on": "true", "yes": "true", "off": "false", "no": "false"}
_LONGEST_EXPONENT, _LONGEST_NUMBER = 400, 400


class Doubtful(ValueError):
    """A scalar that YAML readers disagree about; the message says how to write it."""


def plain(text: str) -> object:
    """Return the value of an unquoted scalar: None, bool, int, :class:`Written` or str."""
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    _refuse_doubtful(text)
    if _WHOLE.fullmatch(text):
        return int(_short_enough(text))
    if _BASED.fullmatch(text):
        return int(text, 0)
    if _DECIMAL.fullmatch(text):
        return _decimal(text)
    return text


def _refuse_doubtful(text: str) -> None:
    switch = _SWITCHES.get(text.lower())
    if switch:
        raise Doubtful(f"{text!r} could be text or a switch; write {switch}, or quote it for text")
    if _OCTAL.fullmatch(text):
        raise Doubtful(f"{text!r} could be octal or decimal; drop the leading zero, or quote it for text")
    if _NOT_FINITE.fullmatch(text):
        raise Doubtful(f"{text!r} is not a finite number")


def _short_enough(text: str) -> str:
    if len(text) > _LONGEST_NUMBER:
        raise Doubtful(f"a number of {len(text)} characters is outside the range of numbers")
    return text


def _decimal(text: str) -> Written:
    number = Written(_short_enough(text).replace("_", ""))
    exponent = text.lower().partition("e")[2]
    if math.isinf(number) or (exponent and abs(int(exponent)) > _LONGEST_EXPONENT):
        raise Doubtful(f"{text!r} is outside the range of numbers")
    return number


def describe(value: object, text: str = "") -> str:
    """Return how a message calls a scalar: ``text '8'``, ``1e4``, ``true``, ``nothing``."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f"text {value!r}"
    return text or str(value)
