"""A small chip for the tests of the reader."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from xbarsim.config import Document, Exact, Section, Wrong, read_document


class Kind(Enum):
    SAR = "sar"
    FLASH = "flash"


class Crossbar(Section):
    rows: Annotated[int, Field(ge=1)]
    """Word lines."""
    columns: Annotated[int, Field(ge=1, le=1024)] = 128
    cell_bits: int = 2
    extra_bits: int = 0

    @model_validator(mode="after")
    def _fits(self) -> Crossbar:
        if self.cell_bits > 8:
            raise Wrong("cell_bits", f"no cell holds {self.cell_bits} bits")
        if self.extra_bits > self.cell_bits:
            raise ValueError("more extra bits than bits")
        return self


class Adc(Section):
    bits: Annotated[int, Field(ge=1)] = 8
    rate_gsps: Annotated[Exact, Field(gt=0)] = 1  # type: ignore[assignment]
    kind: Literal["sar", "flash"] = "sar"
    energy_pj: Annotated[float, Field(ge=0, lt=1e6)] | None = None


class Linear(Section):
    law: Literal["linear"]
    slope: float


class Table(Section):
    law: Literal["table"]
    points: tuple[float, ...]


class Device(Section):
    name: str
    levels: int = 4
    g_us: Exact = 1  # type: ignore[assignment]
    endurance: dict[str, float] = {}


class Chip(Section):
    name: str
    crossbar: Crossbar
    adc: Adc = Adc()
    count: Annotated[int, Field(ge=1)] | Literal["auto"] = "auto"
    gate: bool = False
    converter: Kind = Kind.SAR
    grid: tuple[int, ...] = ()
    names: list[Annotated[str, Field(min_length=2, max_length=5)]] = Field(default=[], max_length=3)
    shape: Annotated[tuple[int, int] | None, Field()] = None
    law: Annotated[Linear | Table, Field(discriminator="law")] | None = None
    parts: dict[str, Crossbar] = {}
    source: str | Device = "none"
    device: Device | None = None
    multiple: Annotated[int, Field(multiple_of=2)] = 2
    word: Annotated[str, Field(pattern="^[a-z]+$")] = "a"
    version: Literal[1] = Field(default=1, alias="schema")


BODY = "name: tiny\ncrossbar:\n  rows: 64\n"


def chip(path: str | Path, *overrides: str, **options: Any) -> Document[Chip]:
    """Read a chip whose device may be given by name, from the folder ``devices``."""
    expand = {"device": lambda name: Path("devices") / f"{name}.yaml"}
    return read_document(path, Chip, overrides=overrides, expand=expand, **options)
