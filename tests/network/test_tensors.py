"""Tensor files: round trips, fingerprints; header faults stand in test_broken."""

from __future__ import annotations

import contextlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from safetensors.numpy import load_file

from xbarsim.errors import InputError
from xbarsim.network.tensors import fingerprint, open_tensors, write_tensors

KINDS = ["?", "u1", "i1", "u2", "i2", "u4", "i4", "i8", "f2", "f4", "f8"]
names = st.text("abc.", min_size=1, max_size=4)
tensors = st.dictionaries(
    names,
    st.sampled_from(KINDS).flatmap(lambda kind: arrays(kind, array_shapes(min_dims=0, max_dims=3, min_side=0))),
)


@settings(max_examples=60)
@given(tensors)
def test_what_is_written_comes_back(tmp_path_factory: pytest.TempPathFactory, made: dict[str, np.ndarray]) -> None:
    path = tmp_path_factory.mktemp("tensors") / "a.safetensors"
    write_tensors(path, made)
    opened, library = open_tensors(path), load_file(path)
    assert opened.tensors.keys() == made.keys() == library.keys()
    for name, array in made.items():
        stored = opened.tensors[name]
        assert (stored.dtype, stored.shape) == (array.dtype, array.shape)
        assert opened.get(name).tobytes() == array.tobytes() == library[name].tobytes()


@settings(max_examples=300)
@given(st.data())
def test_damage_is_refused_or_harmless(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """No damage to length or header may raise anything but an InputError."""
    path = tmp_path_factory.mktemp("damage") / "a.safetensors"
    write_tensors(path, {"one": np.arange(6, dtype=np.float32), "two": np.ones((2, 3), np.int8)})
    text = bytearray(path.read_bytes())
    header = 8 + int.from_bytes(text[:8], "little")
    for _ in range(data.draw(st.integers(1, 3))):
        text[data.draw(st.integers(0, header - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(bytes(text[: data.draw(st.integers(0, len(text)))]))
    opened = None
    with contextlib.suppress(InputError):
        opened = open_tensors(path)
    for name, stored in opened.tensors.items() if opened else ():
        assert opened.get(name).shape == stored.shape


def test_a_tensor_that_is_not_there_is_named(tmp_path: Path) -> None:
    write_tensors(tmp_path / "a.safetensors", {"weight": np.zeros(2)})
    with pytest.raises(InputError, match=r"a\.safetensors: no tensor 'wieght'; did you mean 'weight'"):
        open_tensors(tmp_path / "a.safetensors").get("wieght")


def test_the_fingerprint_sees_names_types_shapes_and_values() -> None:
    base = {"a": np.arange(6, dtype=np.float32), "b": np.zeros(2, np.float32)}
    others = [
        {"a": base["a"], "c": base["b"]},
        {"a": base["a"].astype(np.float64), "b": base["b"]},
        {"a": base["a"].reshape(2, 3), "b": base["b"]},
        {"a": base["a"] + np.float32(1e-6), "b": base["b"]},
        {"a": base["a"]},
    ]
    assert len({fingerprint(tensors) for tensors in [base, *others]}) == 6


def test_the_fingerprint_does_not_see_order_or_memory_layout() -> None:
    matrix = np.arange(6, dtype=np.float32).reshape(2, 3)
    one = {"a": matrix, "b": np.zeros(1)}
    two = {"b": np.zeros(1), "a": np.asfortranarray(matrix).astype(">f4")}
    assert fingerprint(one) == fingerprint(two)
