"""The house keeps its order: who imports whom, how long things get, what the wheel holds.

The rooms stand in the order in which data walks through them; a room imports only rooms above it. The limits
on length are a mirror: what must be longer is listed with its reason.
"""

from __future__ import annotations

import ast
import configparser
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "xbarsim"
ROOMS = (
    "errors units config registry facts kernels chip network mapping adaptions dataflow engine analog "
    "results studies learning cli"
).split()
MODULES = sorted(PACKAGE.rglob("*.py"))

LONGEST_FILE = 400
LONGEST_FUNCTION = 60
LONGEST_KERNEL = 120
LONGER_FILES: dict[str, str] = {
    "kernels/events.py": "one event loop; Numba's cache does not notice changes in imported kernels",
}
"""Path -> why the file may be longer than LONGEST_FILE."""
LONGER_FUNCTIONS: dict[str, str] = {}
"""``path:function`` -> why it may be longer than LONGEST_FUNCTION or LONGEST_KERNEL."""
SAYS_IT_ALOUD = {"cli"}
"""Rooms that may print and exit."""


def room(path: Path) -> str:
    """Return the room that a module stands in; the package's own ``__init__`` stands below all."""
    first = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    return "cli" if first in ("__init__", "__main__") else first


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Yield line and dotted name of everything that a module imports, relative imports resolved."""
    here = [*path.relative_to(ROOT).parent.parts]
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = here[: len(here) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            yield from ((node.lineno, f"{base}.{alias.name}") for alias in node.names)


def rooms_imported(path: Path) -> Iterator[tuple[int, str]]:
    for line, name in imports(path):
        package, *inside = name.split(".")
        if package == "xbarsim" and inside and inside[0] in ROOMS:
            yield line, inside[0]


def functions(path: Path) -> Iterator[tuple[str, int]]:
    """Yield ``path:name`` and the lines of every function."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield f"{path.relative_to(PACKAGE)}:{node.name}", node.end_lineno - node.lineno + 1  # type: ignore[operator]


def calls(path: Path) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Call):
            yield node.lineno, ast.unparse(node.func)


def named(path: Path) -> str:
    return str(path.relative_to(PACKAGE))


def test_every_module_stands_in_a_known_room() -> None:
    assert {room(path) for path in MODULES} <= set(ROOMS)


@pytest.mark.parametrize("path", MODULES, ids=named)
def test_a_room_imports_only_rooms_above_it(path: Path) -> None:
    rank = ROOMS.index(room(path))
    climbs = [
        f"line {line}: {room(path)} imports {other}"
        for line, other in rooms_imported(path)
        if ROOMS.index(other) > rank
    ]
    assert not climbs


@pytest.mark.parametrize("path", [path for path in MODULES if room(path) == "kernels"], ids=named)
def test_kernels_are_bare(path: Path) -> None:
    allowed = {"numpy", "numba", "__future__"}
    foreign = {name for _, name in imports(path) if name.split(".")[0] not in allowed}
    stdlib = {name for name in foreign if name.split(".")[0] in sys.stdlib_module_names}
    assert {name for name in foreign - stdlib if not name.startswith("xbarsim.kernels")} == set()
    assert {name.split(".")[0] for name in stdlib} <= {"collections", "math", "operator", "typing"}


@pytest.mark.parametrize("path", [path for path in MODULES if room(path) not in SAYS_IT_ALOUD], ids=named)
def test_only_the_command_line_prints_and_exits(path: Path) -> None:
    loud = {"print", "exit", "quit", "sys.exit", "os._exit", "breakpoint"}
    assert [f"line {line}: {name}" for line, name in calls(path) if name in loud] == []


@pytest.mark.parametrize("path", MODULES, ids=named)
def test_an_assert_says_why_it_cannot_fail(path: Path) -> None:
    """An assert vanishes under ``python -O``: what a user can cause is an InputError."""
    lines = path.read_text(encoding="utf-8").splitlines()
    asserts = [node.lineno for node in ast.walk(tree(path)) if isinstance(node, ast.Assert)]
    assert [line for line in asserts if "#" not in lines[line - 1]] == []


@pytest.mark.parametrize("path", MODULES, ids=named)
def test_names_are_imported_one_by_one(path: Path) -> None:
    assert [line for line, name in imports(path) if name.endswith(".*")] == []


@pytest.mark.parametrize("path", MODULES, ids=named)
def test_files_are_short(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").count("\n")
    assert lines <= LONGEST_FILE or named(path) in LONGER_FILES


@pytest.mark.parametrize("path", MODULES, ids=named)
def test_functions_are_short(path: Path) -> None:
    limit = LONGEST_KERNEL if room(path) == "kernels" else LONGEST_FUNCTION
    assert [name for name, lines in functions(path) if lines > limit and name not in LONGER_FUNCTIONS] == []


def test_exceptions_are_still_needed() -> None:
    files = {named(path) for path in MODULES if path.read_text(encoding="utf-8").count("\n") > LONGEST_FILE}
    lengths = {name: lines for path in MODULES for name, lines in functions(path)}
    assert set(LONGER_FILES) <= files
    assert all(lengths.get(name, 0) > LONGEST_FUNCTION for name in LONGER_FUNCTIONS)


def test_the_median_function_is_a_few_lines() -> None:
    lengths = sorted(lines for path in MODULES for _, lines in functions(path))
    assert lengths[len(lengths) // 2] <= 10


def test_the_wheel_holds_every_package() -> None:
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    listed = set(setup["options"]["packages"].split())
    folders = {".".join(path.parent.relative_to(ROOT).parts) for path in MODULES}
    assert listed - {"xbarsim._share.arch_configs", "xbarsim._share.workloads"} == folders
