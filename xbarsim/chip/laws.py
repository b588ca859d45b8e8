"""Laws: what a part costs where nothing is printed: by resolution, rate, size or technology node.

A law stands in the section of its part and holds the *anchor*: the figures that were published, and for which
resolution, size or node. At the anchor the part costs exactly what was published; elsewhere the figures move in
the law's proportions. A law without an anchor gives figures of its own. A figure that stands in the section
itself (``adc.energy_pj``) overrides the law. Outside its validity a law still answers, and says so: `check`
warns, results list it. The coefficients are facts (``xbarsim/data/facts``).
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from functools import lru_cache
from math import ceil, exp, log, log10
from typing import Annotated, Literal

from pydantic import Field

from xbarsim.config import Exact, Section
from xbarsim.facts import load_facts

Figure = Annotated[float, Field(ge=0)] | None
Bits = Annotated[int, Field(ge=1, le=16)]
Positive = Annotated[Exact, Field(gt=0)]


@lru_cache(maxsize=64)
def numbers(fact: str) -> tuple[float, ...]:
    """Return the numbers of a fact."""
    value = load_facts()[fact].value
    return tuple(float(each) for each in value) if isinstance(value, tuple) else (float(value),)


def moved(figure: float | None, ratio: Callable[[], float]) -> float | None:
    """Return a published figure moved by a ratio; what is not published stays so."""
    return None if figure is None else figure * ratio()


# ---- converters ------------------------------------------------------------------------------


def sar_pj(bits: int) -> float:
    """Energy of a conversion of a SAR converter at 32 nm: logic linear in bits, capacitors exponential."""
    linear, exponential, constant = numbers("accelergy_library.sar_energy_fit")
    return linear * bits + exponential * 2.0**bits + constant


def sar_um2(bits: int) -> float:
    """Area of a SAR converter at 32 nm."""
    linear, exponential = numbers("accelergy_library.sar_area_fit")
    return linear * bits + exponential * 2.0**bits


def survey_pj(bits: int, rate_gsps: float, tech_nm: float) -> float:
    """Energy of a conversion after the regression on Murmann's survey; flat below its least resolution."""
    n = max(bits, int(numbers("accelergy_adc.least_bits")[0]))
    top, slope, base, per_bit = numbers("accelergy_adc.figure_of_merit")
    constant, by_node, by_bits, best = numbers("accelergy_adc.energy_regression")
    merit = min(top - slope * log(rate_gsps * 1e9), base + per_bit * ceil(n))
    joule = 1 / (2 * 10 ** ((merit - (6.02 * n + 1.76)) / 10))
    return joule * exp(constant + by_node * log(tech_nm) - by_bits * log(n) - best)


def survey_um2(bits: int, rate_gsps: float, tech_nm: float) -> float:
    """Area of a converter after the regression on Murmann's survey."""
    constant, by_node, by_rate, by_energy = numbers("accelergy_adc.area_regression")
    energy = survey_pj(bits, rate_gsps, tech_nm)
    return exp(constant + by_node * log(tech_nm) + by_rate * log(rate_gsps * 1e9) + by_energy * log(energy))


class Sar(Section):
    """ISAAC's way to scale a SAR converter: memory, clock and reference linear in bits, capacitors exponential.

    Fitted to seven resolutions of Accelergy's ISAAC table (4 to 10 bits, 32 nm, 1.2 GS/s); energy per conversion
    does not depend on the rate.
    """

    kind: Literal["sar"]
    """SAR converter."""
    bits: Bits | None = None
    """Resolution that the figures below were published for; none: the fit's own figures."""
    energy_pj: Figure = None
    """Published energy of a conversion of so many bits."""
    area_um2: Figure = None
    """Published area of a converter of so many bits."""

    def energy(self, bits: int, rate_gsps: Fraction | None) -> float | None:
        """Energy of a conversion in picojoules."""
        if self.bits is None:
            return sar_pj(bits)
        there = self.bits
        return self.energy_pj if bits == there else moved(self.energy_pj, lambda: sar_pj(bits) / sar_pj(there))

    def area(self, bits: int, rate_gsps: Fraction | None) -> float | None:
        """Area of a converter in um2."""
        if self.bits is None:
            return sar_um2(bits)
        there = self.bits
        return self.area_um2 if bits == there else moved(self.area_um2, lambda: sar_um2(bits) / sar_um2(there))

    def scaled(self, bits: int) -> list[str]:
        """What moved away from the anchor."""
        return [] if self.bits in (None, bits) else [f"energy and area scaled from {self.bits} to {bits} bits"]

    def outside(self, bits: int, rate_gsps: Fraction | None) -> list[str]:
        """What is outside the fit."""
        said, points = [], numbers("accelergy_library.sar_bits")
        if bits != self.bits and not points[0] <= bits <= points[-1]:
            said.append(f"{bits} bits are outside the law's {points[0]:g} to {points[-1]:g} bits")
        top = numbers("isaac_isca16.adc_rate")[0]
        if rate_gsps is not None and float(rate_gsps) > top:
            said.append(f"{float(rate_gsps):g} GS/s is above the law's {top:g} GS/s")
        return said


class Survey(Section):
    """Regression of Accelergy's converter model on Murmann's survey of published converters: best designs."""

    kind: Literal["survey"]
    """Regression on published converters."""
    tech_nm: Positive
    """Technology node."""
    bits: Bits | None = None
    """Resolution that the figures below were published for; none: the regression's own figures."""
    rate_gsps: Positive | None = None
    """Rate that they were published for; none: any."""
    energy_pj: Figure = None
    """Published energy of a conversion."""
    area_um2: Figure = None
    """Published area of a converter."""

    def energy(self, bits: int, rate_gsps: Fraction | None) -> float | None:
        """Energy of a conversion in picojoules."""
        return self._figure(self.energy_pj, survey_pj, bits, rate_gsps)

    def area(self, bits: int, rate_gsps: Fraction | None) -> float | None:
        """Area of a converter in um2."""
        return self._figure(self.area_um2, survey_um2, bits, rate_gsps)

    def _figure(
        self, figure: float | None, law: Callable[[int, float, float], float], bits: int, rate: Fraction | None
    ) -> float | None:
        here, node = float(rate or 1), float(self.tech_nm)
        if self.bits is None:
            return law(bits, here, node)
        there, at = self.bits, float(self.rate_gsps or here)
        return moved(figure, lambda: law(bits, here, node) / law(there, at, node))

    def scaled(self, bits: int) -> list[str]:
        """What moved away from the anchor, or that there is none."""
        if self.bits is None:
            return ["energy and area of the best published designs"]
        return [] if self.bits == bits else [f"energy and area scaled from {self.bits} to {bits} bits"]

    def outside(self, bits: int, rate_gsps: Fraction | None) -> list[str]:
        """What is outside the regression."""
        least, most = int(numbers("accelergy_adc.least_bits")[0]), int(numbers("accelergy_adc.most_bits")[0])
        said = []
        if bits < least:
            said.append(f"the regression falls below {least} bits: {bits} bits cost what {least} do")
        if bits > most:
            said.append(f"{bits} bits are outside the regression's {least} to {most} bits")
        return said


ConverterLaw = Annotated[Sar | Survey, Field(discriminator="kind")]
"""Energy and area of a converter, told apart by ``kind``."""


# ---- row drivers -----------------------------------------------------------------------------


class Doubling(Section):
    """Energy and area of a row driver double with every bit (MNSIM's table, 1 to 6 bits)."""

    kind: Literal["doubling"]
    """Twice as much per bit."""
    bits: Bits
    """Resolution that the figures below were published for."""
    energy_pj: Figure = None
    """Published energy of driving a row once."""
    area_um2: Figure = None
    """Published area of a driver."""

    def energy(self, bits: int) -> float | None:
        """Energy of driving a row once in picojoules."""
        return moved(self.energy_pj, lambda: 2.0 ** (bits - self.bits))

    def area(self, bits: int) -> float | None:
        """Area of a driver in um2."""
        return moved(self.area_um2, lambda: 2.0 ** (bits - self.bits))

    def scaled(self, bits: int) -> list[str]:
        """What moved away from the anchor."""
        return [] if bits == self.bits else [f"energy and area scaled from {self.bits} to {bits} bits"]

    def outside(self, bits: int) -> list[str]:
        """What is outside the table."""
        points = numbers("mnsim.dac_bits")
        if bits == self.bits or points[0] <= bits <= points[-1]:
            return []
        return [f"{bits} bits are outside the law's {points[0]:g} to {points[-1]:g} bits"]


DriverLaw = Doubling
"""Energy and area of a row driver."""


# ---- technology nodes ------------------------------------------------------------------------


def digital_energy(from_nm: float, to_nm: float, volts: float = 0.8) -> float:
    """Ratio of the energies of digital logic at two nodes and one supply (Stillmaker & Baas 2017)."""
    return _at_node("energy", to_nm, volts) / _at_node("energy", from_nm, volts)


def digital_area(from_nm: float, to_nm: float) -> float:
    """Ratio of the areas of digital logic at two nodes."""
    return _at_node("area", to_nm, 0.0) / _at_node("area", from_nm, 0.0)


def _at_node(quantity: str, nm: float, volts: float) -> float:
    """A quantity relative to other nodes, interpolated between the tabulated ones on logarithmic axes."""
    nodes = numbers(f"accelergy_library.node_{quantity}_nm")
    if quantity == "area":
        values = numbers("accelergy_library.node_area")
    else:
        terms = (numbers(f"accelergy_library.node_energy_{term}") for term in ("square", "linear", "constant"))
        values = tuple(a * volts**2 + b * volts + c for a, b, c in zip(*terms, strict=True))
    return interpolate(nm, nodes, values)


def interpolate(at: float, points: tuple[float, ...], values: tuple[float, ...]) -> float:
    """A value between points in rising order, straight on logarithmic axes; beyond the ends the last slope."""
    upper = next((number for number, point in enumerate(points) if point >= at), len(points) - 1)
    upper = max(1, upper)
    (x0, x1), (y0, y1) = points[upper - 1 : upper + 1], values[upper - 1 : upper + 1]
    share = log10(at / x0) / log10(x1 / x0)
    return float(y0 * (y1 / y0) ** share)


class Scaled(Section):
    """Digital logic published at one node and used at another."""

    kind: Literal["node"]
    """Technology scaling of digital logic."""
    from_nm: Positive
    """Node that the figures below were published for."""
    to_nm: Positive
    """Node of the chip."""
    energy_pj: Figure = None
    """Published energy of an action."""
    area_um2: Figure = None
    """Published area of an instance."""

    def energy(self) -> float | None:
        """Energy of an action in picojoules."""
        return moved(self.energy_pj, lambda: digital_energy(float(self.from_nm), float(self.to_nm)))

    def area(self) -> float | None:
        """Area of an instance in um2."""
        return moved(self.area_um2, lambda: digital_area(float(self.from_nm), float(self.to_nm)))

    def scaled(self) -> list[str]:
        """What is scaled."""
        return [f"scaled from {float(self.from_nm):g} to {float(self.to_nm):g} nm as digital logic"]

    def outside(self) -> list[str]:
        """What is outside the table."""
        nodes = numbers("accelergy_library.node_energy_nm")
        beyond = [node for node in (self.from_nm, self.to_nm) if not nodes[0] <= float(node) <= nodes[-1]]
        return [f"{float(node):g} nm is outside the law's {nodes[0]:g} to {nodes[-1]:g} nm" for node in beyond]
