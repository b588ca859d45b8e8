"""The base of every typed section, and exact decimals as a field type.

A section is a frozen pydantic model; the text under each field is its manual. An ``int`` field takes whole
numbers only (neither ``"3"`` nor ``true``), a ``float`` field any number, an :data:`Exact` field any number
and keeps it as the fraction that the decimal text says.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, PlainSerializer
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from xbarsim.config.decimals import decimal, exact

_LENIENT = {"tuple", "list", "enum"}


def _loosen(schema: Any, handler: GetCoreSchemaHandler) -> None:
    """Drop strictness where it is about Python's types and not about the file's."""
    if isinstance(schema, list | tuple):
        for part in schema:
            _loosen(part, handler)
    elif isinstance(schema, dict):
        if schema.get("type") == "definition-ref":
            schema = handler.resolve_ref_schema(schema)
            if schema["type"] != "enum":
                return  # another section, which sees to itself
        if schema.get("type") in _LENIENT:
            schema["strict"] = False
        for part in schema.values():
            _loosen(part, handler)


class Section(BaseModel):
    """Base of all configuration: strict types, no unknown keys, frozen, documented under each field."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        allow_inf_nan=False,
        validate_default=True,
        use_attribute_docstrings=True,
    )

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Let a YAML list fill a tuple and a text an enum; pydantic's strict mode refuses both."""
        schema = handler(source)
        _loosen(schema, handler)
        return schema


class Wrong(ValueError):
    """What a section's own validator raises: the message belongs to one key below the section.

    ``raise Wrong("cell_bits", "4 bits need 16 levels, the device has 4")`` is reported at that key's place.
    """

    def __init__(self, key: str, message: str) -> None:
        super().__init__(message)
        self.key = key


class _ExactType:
    """Tells pydantic how to read an :data:`Exact`."""

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(_validate_exact)


def _validate_exact(value: object) -> Fraction:
    try:
        return exact(value)
    except ValueError:
        raise PydanticCustomError("float_type", "not a number") from None


Exact = Annotated[Fraction, _ExactType, PlainSerializer(decimal, when_used="json")]
"""A number kept as an exact fraction of its decimal text; takes bounds: ``Annotated[Exact, Field(gt=0)]``."""
