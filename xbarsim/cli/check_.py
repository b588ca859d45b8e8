"""``xbarsim check``."""

from __future__ import annotations

from pathlib import Path

import click

from xbarsim.cli import common
from xbarsim.errors import Fault, InputError


@click.command("check")
@click.argument("files", nargs=-1, required=True)
@common.options(common.overrides, common.seed)
def command(files: tuple[str, ...], overrides: tuple[str, ...], seed: int) -> None:
    """Check chip, device and network FILES and bundles: every fault of each, at its file, line and column."""
    faults: list[Fault] = []
    for name in files:
        try:
            click.echo(f"{name}: {_check(name, overrides, seed)}")
        except InputError as error:
            faults += error.faults
    if faults:
        raise InputError(faults)


def _check(name: str, overrides: tuple[str, ...], seed: int) -> str:
    """Read one file as what it is; return what was found."""
    kind = _kind(name)
    if kind == "network":
        from xbarsim.network import load_network

        return f"ok, {load_network(name, seed=seed)!r}"
    if kind == "device":
        from xbarsim.chip import Device
        from xbarsim.config import find, read

        return f"ok, device {read(find('devices', name), Device, overrides=overrides).name!r}"
    from xbarsim.chip import load_chip

    chip = load_chip(name, overrides)
    assumed = sum(traced.how == "assumed" for traced in chip.traced)
    return f"ok, chip {chip.name!r}, {len(chip.traced)} figures, {assumed} of them assumed"


def _kind(name: str) -> str:
    """Chip, device or network: by where the name is found, or by the sections of the file."""
    from xbarsim.config import known

    path = Path(name)
    if not path.exists():
        kinds = {"arch_configs": "chip", "workloads": "network", "devices": "device"}
        return next((kind for folder, kind in kinds.items() if name in known(folder)), "chip")
    if path.is_dir():
        return "network"
    text = path.read_text(encoding="utf-8", errors="replace")
    keys = {line.split(":")[0].strip() for line in text.splitlines() if line[:1].isalpha()}
    if keys & {"layers", "input"}:
        return "network"
    return "device" if keys & {"g_min_us", "g_max_us", "pulse_ns"} else "chip"
