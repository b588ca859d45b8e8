"""Find a chip, a workload or a device by name: in a checkout, an editable install or an installed wheel."""

from __future__ import annotations

from pathlib import Path

from xbarsim.errors import InputError, did_you_mean

_PACKAGE = Path(__file__).resolve().parent.parent
_WORDS = {"arch_configs": "chip", "workloads": "workload", "devices": "device"}
_SUFFIXES = (".yaml", ".xmn")


def folder(kind: str) -> Path:
    """Return the folder that holds the files of a kind: ``arch_configs``, ``workloads`` or ``devices``."""
    if kind not in _WORDS:
        raise ValueError(f"no kind {kind!r}; known: {', '.join(_WORDS)}")
    if kind == "devices":
        return _PACKAGE / "data" / kind
    installed = _PACKAGE / "_share" / kind
    return installed if installed.is_dir() else _PACKAGE.parent / kind


def known(kind: str) -> list[str]:
    """Return the names that :func:`find` knows, sorted."""
    home = folder(kind)
    return sorted({path.stem for path in home.iterdir() if _fits(path)}) if home.is_dir() else []


def find(kind: str, name: str) -> Path:
    """Return the file, or the bundle folder, that ``name`` stands for.

    A path that exists is used as it is; anything else is looked up among the files of the kind, with and
    without its ending.
    """
    for candidate in _candidates(kind, name):
        if _fits(candidate) or (candidate.is_file() and candidate == Path(name)):
            return candidate
    names = known(kind)
    listed = f"; known: {', '.join(names)}" if names else f"; {folder(kind)} has none"
    missing = f"there is no file {name!r}, and no" if len(Path(name).parts) > 1 else "no"
    raise InputError(f"{missing} {_WORDS[kind]} {name!r}{listed}{did_you_mean(name, names)}")


def _candidates(kind: str, name: str) -> list[Path]:
    home = folder(kind)
    return [Path(name), home / name, *(home / f"{name}{suffix}" for suffix in _SUFFIXES)]


def _fits(path: Path) -> bool:
    return path.is_dir() if path.suffix == ".xmn" else path.suffix == ".yaml" and path.is_file()
