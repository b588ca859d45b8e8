"""Ways to break a bundle: one change each, to be named by the message of the fault."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from xbarsim.errors import InputError
from xbarsim.network import load_network
from xbarsim.network.tensors import fingerprint, open_tensors, write_tensors

Break = Callable[[Path], None]

MANIFEST, GRAPH, BACKBONE = "manifest.json", "graph.json", "backbone.safetensors"
RED, SAMPLES = "tasks/red.safetensors", "samples/red.safetensors"
MISSING = object()


def at(tree: Any, path: Iterable[str | int]) -> Any:
    for step in path:
        tree = tree[step]
    return tree


def steps(path: str) -> list[str | int]:
    return [int(step) if step.isdigit() else step for step in path.split("/") if step]


def put(file: str, path: str, value: object) -> Break:
    """Set, or with MISSING delete, one value of a JSON file; steps are parted by '/'."""

    def change(bundle: Path) -> None:
        tree = json.loads((bundle / file).read_text())
        *before, last = steps(path)
        inner = at(tree, before)
        if value is MISSING:
            del inner[last]
        else:
            inner[last] = value
        (bundle / file).write_text(json.dumps(tree))

    return change


def rename(file: str, path: str, old: str, new: str) -> Break:
    """Rename a key of a JSON file."""

    def change(bundle: Path) -> None:
        tree = json.loads((bundle / file).read_text())
        inner = at(tree, steps(path))
        inner[new] = inner.pop(old)
        (bundle / file).write_text(json.dumps(tree))

    return change


def tensor(file: str, key: str, change: Callable[[Any], Any] | object, new: str = "") -> Break:
    """Change, rename or with MISSING delete one tensor; the manifest's fingerprint is kept right."""

    def alter(bundle: Path) -> None:
        opened = open_tensors(bundle / file)
        arrays = {name: opened.get(name) for name in opened.tensors}
        array = arrays.pop(key)
        if callable(change):
            arrays[new or key] = change(array.copy())
        write_tensors(bundle / file, arrays)
        if file == BACKBONE:
            put(MANIFEST, "fingerprint", fingerprint(arrays))(bundle)

    return alter


def raw(file: str, change: Callable[[bytes], bytes]) -> Break:
    """Change the bytes of a file."""

    def alter(bundle: Path) -> None:
        (bundle / file).write_bytes(change((bundle / file).read_bytes()))

    return alter


def header(change: Callable[[dict[str, Any]], object]) -> Callable[[bytes], bytes]:
    """Change the header of a tensor file in place."""

    def alter(data: bytes) -> bytes:
        length = int.from_bytes(data[:8], "little")
        table = json.loads(data[8 : 8 + length])
        change(table)
        text = json.dumps(table).encode()
        return len(text).to_bytes(8, "little") + text + data[8 + length :]

    return alter


def with_value(index: tuple[int, ...], value: object) -> Callable[[Any], Any]:
    def change(array: Any) -> Any:
        array[index] = value
        return array

    return change


def remove(file: str) -> Break:
    return lambda bundle: (bundle / file).unlink()


def copy(source: str, target: str) -> Break:
    return lambda bundle: shutil.copy(bundle / source, bundle / target)  # type: ignore[return-value]


def same(array: Any) -> Any:
    return array


def changed_weights(bundle: Path) -> None:
    opened = open_tensors(bundle / BACKBONE)
    arrays = {name: opened.get(name) for name in opened.tensors}
    arrays["conv1.weight"] = arrays["conv1.weight"] * np.float32(1.01)
    write_tensors(bundle / BACKBONE, arrays)


def shows(path: Path, file: str, message: str) -> None:
    """Reading ``path`` must fail with a fault in ``file`` that says ``message``."""
    with pytest.raises(InputError) as raised:
        load_network(path)
    assert raised.value.exit_code == 2
    shown = [str(fault) for fault in raised.value.faults]
    found = [line for line in shown if line.startswith(str(path / file)) and re.search(message, line)]
    assert found, "\n".join(shown)
