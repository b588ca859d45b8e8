"""Options for timelines, of the commands that execute a graph."""

from __future__ import annotations

from pathlib import Path

import click

from xbarsim.errors import Fault, InputError

options = (
    click.option(
        "--trace", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
        help="Write the timeline: .json, .json.gz (Perfetto, Chrome) or .pftrace (with the extra trace).",
    ),
    click.option("--trace-window", metavar="BEGIN..END", help="Only this span of it, as in 10us..20us."),
)  # fmt: skip


def checked(trace: Path | None, window: str | None) -> tuple[int, int] | None:
    """Refuse a trace that cannot be written, before any work is done; returns the window in picoseconds."""
    if trace is None:
        if window is not None:
            raise InputError(Fault("--trace-window", "needs --trace FILE"))
        return None
    from xbarsim.results.durations import parse_window
    from xbarsim.results.trace_files import check_trace

    check_trace(trace)
    if not trace.absolute().parent.is_dir():
        raise InputError(Fault("--trace", f"{trace}: there is no folder {trace.absolute().parent}"))
    return None if window is None else parse_window(window, "--trace-window")
