"""The tables of docs/validation.md, made from the targets: ``python docs/rows.py`` writes them anew."""

from __future__ import annotations

from pathlib import Path

from xbarsim.studies.targets import Target, targets

PAGE = Path(__file__).with_name("validation.md")
TITLES = {1: "Tier 1: must hold", 2: "Tier 2: reported with its evidence", 3: "Tier 3: sign and order"}
HEAD = (
    "| row | quantity | published | simulated | tolerance | evidence | fails with |\n"
    "|---|---|---|---|---|---|---|"
)  # fmt: skip


def tolerance(target: Target) -> str:
    """What holds, in words."""
    if target.measure in ("at_least", "at_most"):
        return target.measure.replace("_", " ")
    if target.measure == "more_than":
        return f"> {target.tolerance:g}"
    if not target.tolerance:
        return "exact"
    return f"{100 * target.tolerance:g} %" if target.measure == "relative" else f"± {target.tolerance:g}"


def row(target: Target) -> str:
    """One row of a table."""
    breaks = f"`{target.breaks}`" if target.breaks else ""
    cells = (
        f"`{target.name}`", target.quantity, f"{target.published:.6g}", f"{target.run():.6g}", tolerance(target),
        target.evidence, breaks,
    )  # fmt: skip
    return f"| {' | '.join(cells)} |"


def tables() -> str:
    """All tables, tier by tier."""
    return "\n\n".join(
        "\n".join([f"## {title}", "", HEAD, *(row(target) for target in targets() if target.tier == tier)])
        for tier, title in TITLES.items()
    )


if __name__ == "__main__":
    text = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(f"{text[: text.index(f'## {TITLES[1]}')]}{tables()}\n", encoding="utf-8")
