"""Opening checkpoints of others: tensors first, pickled objects only where the user trusts them.

A pickle is a program. :func:`load_checkpoint` therefore reads with PyTorch's weights-only loader. Where a file
holds whole models and its user trusts it, classes outside PyTorch, NumPy and a few of Python's containers are
replaced by empty :class:`Stand` objects that keep the attributes: the code that wrote the file is not needed.
"""

from __future__ import annotations

import argparse
import pickle
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from xbarsim.errors import Fault, InputError

HARMLESS: list[Any] = [nn.Linear, argparse.Namespace, set]
"""Classes beside tensors that public checkpoints hold and whose making runs no code of the file."""

CONTAINERS = ("set", "frozenset", "dict", "list", "tuple", "slice", "complex", "bytearray", "object", "int", "float")
"""What a trusted pickle may take from Python's built-ins."""

OPEN = ("torch", "numpy", "collections", "argparse", "_codecs")
"""Packages whose classes a trusted pickle gets; all others become stands."""


class Stand:
    """Stands for an object whose class is not at hand; holds its attributes."""

    def __new__(cls, *args: object, **kwargs: object) -> Stand:
        """Make one whatever the arguments."""
        return object.__new__(cls)

    def __init__(self, *args: object, **kwargs: object) -> None: ...

    def __call__(self, *args: object, **kwargs: object) -> Stand:
        """Return a stand: what a function that is not at hand would have made."""
        return Stand()

    def __setstate__(self, state: object) -> None:
        """Keep the attributes."""
        if isinstance(state, dict):
            self.__dict__.update(state)


class _Unpickler(pickle.Unpickler):
    """Finds classes of packages that are :data:`OPEN`; stands for all others."""

    def find_class(self, module: str, name: str) -> Any:
        """Return the class, or a stand of its name."""
        known = name in CONTAINERS if module in ("builtins", "__builtin__") else module.partition(".")[0] in OPEN
        if known:
            try:
                return super().find_class(module, name)
            except (ImportError, AttributeError):
                pass
        return type(name, (Stand,), {"__module__": module})


_PICKLE = SimpleNamespace(Unpickler=_Unpickler, load=pickle.load, loads=pickle.loads, __name__="pickle")


def load_checkpoint(path: Path, trust_pickle: bool = False) -> Any:
    """Return what a checkpoint holds, on the CPU; raises :class:`InputError`.

    ``.safetensors`` files and checkpoints of tensors are read without trust.
    """
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        with torch.serialization.safe_globals(HARMLESS), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of pickles that it cannot read, which is said below
            return torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise InputError(Fault(str(path), f"cannot be read: {(error.strerror or str(error)).lower()}")) from None
    except SafetensorError as error:
        raise InputError(Fault(str(path), f"is no safetensors file: {error}")) from None
    except Exception as error:  # torch.load raises whatever its zip reader and unpickler do
        refusal = str(error).strip().splitlines()
    if not trust_pickle:
        raise InputError(Fault(str(path), _refused(refusal)))
    return _trusted(path)


def _refused(refusal: list[str]) -> str:
    named = [line.strip() for line in refusal if "GLOBAL" in line or "nsupported" in line]
    what = f" ({named[0]})" if named else ""
    return (
        f"holds more than tensors{what}, or is no checkpoint. Loading whole objects runs what the file says, which "
        "can be anything: save state dicts and masks only, or, if you trust where it comes from, say --trust-pickle"
    )


def _trusted(path: Path) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # old files speak of the source code of classes that stand in
            return torch.load(path, map_location="cpu", pickle_module=_PICKLE, weights_only=False)
    except Exception as error:
        raise InputError(Fault(str(path), f"is no checkpoint that can be read: {error}")) from None


def modules(root: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Yield a module or a stand and all below it by dotted name, in the order of ``named_modules()``."""
    seen: set[int] = set()

    def walk(module: Any, name: str) -> Iterator[tuple[str, Any]]:
        if id(module) in seen:
            return
        seen.add(id(module))
        yield name, module
        for key, child in children(module).items():
            if child is not None:
                yield from walk(child, f"{name}.{key}" if name else str(key))

    yield from walk(root, name)


def children(module: Any) -> Mapping[str, Any]:
    """Return the modules right below one, by name."""
    found = vars(module).get("_modules") if hasattr(module, "__dict__") else None
    return found if isinstance(found, Mapping) else {}


def attribute(module: Any, name: str) -> Any:
    """Return a parameter, buffer, child or attribute; nothing where there is none."""
    own = vars(module) if hasattr(module, "__dict__") else {}
    for table in ("_parameters", "_buffers", "_modules"):
        held = own.get(table)
        if isinstance(held, Mapping) and name in held:
            return held[name]
    return own.get(name)


def tensor(module: Any, name: str) -> Tensor | None:
    """Return a tensor of a module; nothing where it has none of that name."""
    found = attribute(module, name)
    return found.detach() if isinstance(found, Tensor) else None
