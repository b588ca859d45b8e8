"""Points of a study on disk: what was done stays done, whatever ends the process.

A folder with ``manifest.json`` (what is studied), ``points/KEY.json`` (one result each, under the hash of everything
it depends on) and, when all points are there, the tables. Every file is written beside, flushed to the disk and
renamed: a reader sees all of it or nothing. Files that are not what they should be are never read as results.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import uuid
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from xbarsim.chip import Chip
from xbarsim.errors import Fault, InputError, XbarsimError
from xbarsim.network import Network
from xbarsim.results.store import not_written
from xbarsim.studies.points import SCHEMA as POINT
from xbarsim.studies.points import Row, chip_digest, code, network_digest, sha256

SCHEMA = "xbarsim.store/1"
MANIFEST, POINTS = "manifest.json", "points"

_POINT = re.compile(r"[0-9a-f]{64}\.json")
_DRAFT = re.compile(r"\.draft-([0-9a-f]{8})-([0-9]+)-[0-9a-f]{8}")

_WORDS = {"xbarsim": "version of xbarsim", "kind": "kind of study", "scenario_digest": "content of the scenario"}
"""How messages call fields of a manifest."""


class Store:
    """Results by key; in a folder, or in memory only."""

    folder: Path | None

    def __init__(self) -> None:
        self.folder = None
        self.notes: list[str] = []
        """What was found in the folder and is no result of this study."""
        self._rows: dict[str, Row] = {}

    def get(self, key: str) -> Row | None:
        """The result stored under a key; nothing where there is none, or where its file is not what it should be."""
        if key not in self._rows and self.folder is not None:
            path = self.folder / POINTS / f"{key}.json"
            try:
                row = _row(path, key)
            except (ValueError, RecursionError) as reason:
                self.notes.append(f"{path}: {_why(reason)}: the point is done again")
            else:
                if row is not None:
                    self._rows[key] = row
        return self._rows.get(key)

    def put(self, key: str, row: Row, about: Mapping[str, object]) -> None:
        """Keep a result, on disk before this returns; ``about`` tells people what it belongs to."""
        row = json.loads(json.dumps(row, allow_nan=False))
        if self.folder is not None:
            text = {"schema": POINT, "key": key, "about": about, "row": row, "sha256": sha256([key, row])}
            write(self.folder / POINTS / f"{key}.json", json.dumps(text, indent=1, allow_nan=False) + "\n")
        self._rows[key] = row

    def finish(self, files: Mapping[str, str]) -> None:
        """Write tables over the whole study, in this order."""
        if self.folder is not None:
            for name, text in files.items():
                write(self.folder / name, text)
            _flush(self.folder)

    def strange(self, keys: Iterable[str]) -> list[str]:
        """What lies among the points and is none of ``keys``, in words."""
        if self.folder is None:
            return []
        known = {f"{key}.json" for key in keys}
        found = sorted(path.name for path in (self.folder / POINTS).iterdir())
        other = [name for name in found if name not in known and not _DRAFT.fullmatch(name)]
        stored = [name for name in other if _POINT.fullmatch(name)]
        lines = [f"{self.folder / POINTS / name}: is no point; left alone" for name in other if name not in stored]
        if stored:
            lines.append(f"{self.folder / POINTS}: {len(stored)} of its points are none of this study's; left alone")
        return lines


def open_store(folder: Path | None, manifest: Mapping[str, Any], grows: Iterable[str] = ()) -> Store:
    """The store of a study: a new folder, or one that the same study was begun in.

    ``grows``: fields of the manifest that may have changed since. Raise :class:`InputError` for a folder that
    holds anything else, such as another study or points of another version of xbarsim.
    """
    store = read_store(folder, manifest, grows)
    if folder is None:
        return store
    folder = folder.absolute()
    try:
        (folder / POINTS).mkdir(parents=True, exist_ok=True)
    except OSError as reason:
        raise not_written(folder, reason) from reason
    text = json.dumps(manifest, indent=1, allow_nan=False) + "\n"
    path = folder / MANIFEST
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        write(path, text)
    for place in (folder, folder / POINTS):
        _clear(place)
    store.folder = folder
    return store


def read_store(folder: Path | None, manifest: Mapping[str, Any], grows: Iterable[str] = ()) -> Store:
    """The same, without making or changing anything: what is not there yet is empty."""
    store = Store()
    if folder is not None:
        _refuse_other(folder.absolute(), manifest, set(grows))
        store.folder = folder.absolute() if folder.is_dir() else None
    return store


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a study; raise :class:`InputError` where there is none that can be read."""
    path = folder / MANIFEST
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except OSError as reason:
        message = f"cannot be read: {(reason.strerror or str(reason)).lower()}; is {folder} the folder of a study?"
        raise InputError(Fault(str(path), message)) from None
    except (ValueError, RecursionError):
        raise InputError(Fault(str(path), "is damaged: it is not JSON text")) from None
    if not isinstance(manifest, dict) or manifest.get("schema") != SCHEMA:
        found = manifest.get("schema") if isinstance(manifest, dict) else None
        raise InputError(Fault(str(path), f"is of schema {found!r}; this version of xbarsim reads {SCHEMA!r}"))
    return manifest


def _refuse_other(folder: Path, manifest: Mapping[str, Any], grows: set[str]) -> None:
    """Say what else a folder holds, if it does."""
    if not os.path.lexists(folder):
        if not folder.parent.is_dir():
            raise InputError(f"--out {folder}: there is no folder {folder.parent}")
        return
    if not folder.is_dir():
        raise InputError(f"--out {folder}: is not a folder; points are kept in one")
    there = [path.name for path in folder.iterdir() if not _DRAFT.fullmatch(path.name)]
    if MANIFEST not in there:
        if set(there) <= {POINTS} and not any((folder / POINTS).glob("*.json")):
            return  # a study that was ended before it began
        raise InputError(f"--out {folder}: is not empty and holds no study; name a new folder")
    other = read_manifest(folder)
    if other.get("xbarsim") != manifest["xbarsim"]:
        message = (
            f"holds points of xbarsim {other.get('xbarsim')}, this is {manifest['xbarsim']}, which may "
            "give others; name a new folder"
        )
        raise InputError(f"--out {folder}: {message}")
    differing = [key for key in {**manifest, **other} if key not in grows and _differs(key, manifest, other)]
    if differing:
        names = ", ".join(_WORDS.get(key, key) for key in differing)
        raise InputError(f"--out {folder}: holds another study: it differs in {names}; name a new folder")


def _differs(key: str, one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two manifests say different things; where a file lies does not matter, what it says does."""

    def said(manifest: Mapping[str, Any]) -> Any:
        value = json.loads(json.dumps(manifest.get(key)))
        return {k: v for k, v in value.items() if k != "file"} if isinstance(value, dict) else value

    return bool(said(one) != said(other))


def base_manifest(kind: str, chip: Chip, network: Network) -> dict[str, Any]:
    """The first fields of any manifest: what is studied, and with which code."""
    return {
        "schema": SCHEMA,
        "kind": kind,
        "xbarsim": code(),
        "chip": {
            "name": chip.name, "file": chip.origin, "digest": chip_digest(chip), "overrides": list(chip.overrides),
        },
        "bundle": {
            "name": network.name, "file": network.source, "fingerprint": network.fingerprint,
            "digest": network_digest(network),
        },
    }  # fmt: skip


# ---- files -----------------------------------------------------------------------------------------


def _row(path: Path, key: str) -> Row | None:
    """Read one point; ``ValueError`` says what is wrong with its file."""
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as reason:
        raise XbarsimError(f"{path}: cannot be read: {(reason.strerror or str(reason)).lower()}") from reason
    content = json.loads(text)
    if not isinstance(content, dict) or content.get("schema") != POINT:
        raise ValueError("is no point, or of another version")
    if content.get("key") != key:
        raise ValueError("belongs to another point")
    row = content.get("row")
    if not isinstance(row, dict) or content.get("sha256") != sha256([key, row]):
        raise ValueError("was changed after it was written")
    return row


def _why(reason: Exception) -> str:
    broken = isinstance(reason, json.JSONDecodeError | UnicodeDecodeError | RecursionError)
    return "is not whole" if broken else str(reason)


def write(path: Path, text: str) -> None:
    """Write a file so that it is there as a whole or not at all, also after a loss of power."""
    host = hashlib.sha256(platform.node().encode()).hexdigest()[:8]
    draft = path.with_name(f".draft-{host}-{os.getpid()}-{uuid.uuid4().hex[:8]}")
    try:
        with open(draft, "w", encoding="utf-8", newline="") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, path)
    except OSError as reason:
        raise not_written(path, reason) from reason
    finally:
        with suppress(OSError):
            draft.unlink(missing_ok=True)


def _flush(folder: Path) -> None:
    """Let a folder's entries reach the disk, where the system can."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _clear(folder: Path) -> None:
    """Remove drafts of processes of this machine that are no more."""
    host = hashlib.sha256(platform.node().encode()).hexdigest()[:8]
    for path in folder.iterdir():
        draft = _DRAFT.fullmatch(path.name)
        if draft and draft[1] == host and not _alive(int(draft[2])):
            path.unlink(missing_ok=True)


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
