"""What all figures share: colours, hatches, units of axes, and how a figure becomes a file or part of a page.

Figures are drawn without a display, readable in grey and by people who see colours differently.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import StringIO
from itertools import product
from math import floor, log10
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Colours that stay apart for colour-blind readers (Okabe and Ito 2008; yellow left out: too pale for lines)."""

STYLES = ("-", "--", ":", "-.")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
HATCHES = ("", "///", "..", "\\\\\\", "xxx", "--", "++")
"""Patterns that tell areas apart in print without colour."""

UNUSED = "0.93"
"""Grey of what is not in use."""

WIDTH = 9.0
"""Width of a figure in inches."""

FORMATS = ("svg", "pdf", "png")
"""File formats of figures."""

SCALES = {"pj": ("J", -12), "ns": ("s", -9), "ps": ("s", -12), "bits": ("bit", 0)}
"""Last word of a key -> unit and power of ten of its values."""

PREFIXES = {-15: "f", -12: "p", -9: "n", -6: "µ", -3: "m", 0: "", 3: "k", 6: "M", 9: "G"}

RC = {
    "svg.hashsalt": "xbarsim",
    "svg.fonttype": "path",
    "pdf.fonttype": 42,
    "hatch.linewidth": 0.6,
    "font.size": 10,
    "axes.titlesize": 10,
    "axes.labelsize": 10,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "legend.fontsize": 9,
}
"""Settings under which figures are drawn and written: the same data give the same bytes."""


@contextmanager
def drawing() -> Iterator[None]:
    """Settings of the house, whatever the user's own are."""
    from matplotlib import rc_context, rcParamsDefault

    with rc_context({key: rcParamsDefault[key] for key in ("font.family", "axes.prop_cycle")} | RC):
        yield


def scaled(largest: float, key: str) -> tuple[float, str]:
    """(factor, unit) that bring values of a key such as ``energy_pj`` near one: ``(1e-6, "µJ")``."""
    last = key.rpartition("_")[2]
    if last in ("um2", "mm2"):
        return (1e-6, "mm²") if last == "um2" and largest >= 1e4 else (1.0, "µm²" if last == "um2" else "mm²")
    unit, power = SCALES.get(last, ("", 0))
    if not unit or not largest:
        return 1.0, f"{PREFIXES[power]}{unit}"
    magnitude = floor(log10(abs(largest)) + 1e-9) + power
    prefix = min(max(magnitude // 3 * 3, min(PREFIXES)), 0 if unit != "bit" else max(PREFIXES))
    return 10.0 ** (power - prefix), f"{PREFIXES[prefix]}{unit}"


def figure_of(width: float = WIDTH, height: float = 4.0) -> Figure:
    """An empty figure without a window."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def plain_axes(axes: Axes, grid: Literal["both", "x", "y"] = "both") -> None:
    """Axes without a frame on top and right, with a pale grid behind."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(visible=True, which="major", axis=grid, color="0.88", linewidth=0.6)
    axes.set_axisbelow(True)


def looks() -> Iterator[dict[str, Any]]:
    """Colour, dash and marker of every line; colours come round with the next dash and another marker."""
    for number, (style, color) in enumerate(product(STYLES, PALETTE)):
        marker = MARKERS[(number + 3 * (number // len(PALETTE))) % len(MARKERS)]
        yield {"color": color, "linestyle": style, "marker": marker, "markevery": (number % 6, 6)}


def dashed_looks() -> Iterator[dict[str, Any]]:
    """Colour, dash and marker of lines that may lie upon each other: each with a dash of its own."""
    for number in range(len(PALETTE) * len(MARKERS)):
        yield {
            "color": PALETTE[number % len(PALETTE)],
            "linestyle": STYLES[number % len(STYLES)],
            "marker": MARKERS[(number + number // len(PALETTE)) % len(MARKERS)],
        }


def fills() -> Iterator[dict[str, Any]]:
    """Colour and hatch of every kind of area; the black of lines is a grey here, so that hatches show."""
    colors = [*PALETTE[:-1], "0.55"]
    for turn in range(len(HATCHES)):
        for number, color in enumerate(colors):
            yield {"facecolor": color, "hatch": HATCHES[(number + turn) % len(HATCHES)], "edgecolor": "white"}


def shades(count: int) -> list[Any]:
    """So many colours of viridis from dark to light: order stays visible in grey."""
    from matplotlib import colormaps

    return [colormaps["viridis"](0.5 if count == 1 else at / (count - 1)) for at in range(count)]


def ink(color: Any) -> str:
    """Black or white, whichever is easier to read on a colour."""
    from matplotlib.colors import to_rgb

    red, green, blue = to_rgb(color)
    return "black" if 0.299 * red + 0.587 * green + 0.114 * blue > 0.55 else "white"


def short(value: float) -> str:
    """A number for a label: three digits, no needless zeros."""
    if value == int(value) and abs(value) < 1e6:
        return f"{int(value):,}"
    if 1e4 <= abs(value) < 1e6:
        return f"{value:,.0f}"
    return f"{value:.3g}" if 1e-3 <= abs(value) < 1e4 else f"{value:.1e}".replace("e+0", "e").replace("e-0", "e-")


def save(figure: Figure, folder: Path, name: str, formats: Sequence[str] = ("png", "svg")) -> None:
    """Write a figure in several formats; text in SVG files stays text."""
    from matplotlib import rc_context

    for form in formats:
        dates = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}
        with drawing(), rc_context({"svg.fonttype": "none"}):
            figure.savefig(folder / f"{name}.{form}", dpi=160, metadata=dates.get(form))


def quantity(value: float, key: str) -> str:
    """A value with the unit that fits it: ``226 ns``."""
    if not value:
        return "0"
    factor, unit = scaled(value, key)
    return f"{short(value * factor)} {unit}" if unit else short(value)


def note(axes: Axes, text: str, place: tuple[float, float], **style: Any) -> None:
    """A text beside a point that takes no room from the axes."""
    axes.annotate(text, place, **style).set_in_layout(False)


def inline_svg(figure: Figure, name: str) -> str:
    """The figure as an ``<svg>`` element for an HTML page: ids of its own, text as outlines, nothing outside."""
    held = StringIO()
    with drawing():
        figure.savefig(held, format="svg", metadata={"Date": None})
    text = held.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r"<style type=\"text/css\">.*?</style>", "", text, flags=re.DOTALL)
    text = re.sub(r" xmlns(:\w+)?=\"[^\"]*\"", "", text)
    seen: Counter[str] = Counter()

    def own(found: re.Match[str]) -> str:
        """An id of this figure; matplotlib gives equal images equal ids, which nothing refers to."""
        seen[found[1]] += 1
        return f'id="{name}-{found[1]}"' if seen[found[1]] == 1 else f'id="{name}-{found[1]}-{seen[found[1]]}"'

    text = re.sub(r"\bid=\"([^\"]+)\"", own, text)
    text = re.sub(r"href=\"#([^\"]+)\"", rf'href="#{name}-\1"', text)
    text = re.sub(r"url\(#([^)]+)\)", rf"url(#{name}-\1)", text)
    head, _, body = text.partition(">")
    return _sized(head) + ' aria-hidden="true" focusable="false">' + body.rstrip()


def _sized(head: str) -> str:
    """The opening tag with a width that gives way to a narrow page."""
    found = re.search(r'width="([0-9.]+)pt"', head)
    width = f"{float(found[1]) * 4 / 3:.0f}px" if found else "100%"
    head = re.sub(r' (width|height|version)="[^"]*"', "", head)
    return f'{head} style="width:{width}"'
