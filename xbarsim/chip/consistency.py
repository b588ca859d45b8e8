"""What a chip file says that cannot be true together, and what its laws say of themselves."""

from __future__ import annotations

from collections.abc import Iterator

from xbarsim.chip.sections import ChipFile, Logic


def inconsistencies(file: ChipFile) -> list[tuple[str, str]]:
    """Keys that are fine alone and wrong together: (path, what is wrong and the way out)."""
    found: list[tuple[str, str]] = []
    if file.adc.per_crossbar > file.crossbar.cols:
        found.append(("adc.per_crossbar", f"{file.adc.per_crossbar} converters for {file.crossbar.cols} columns"))
    if file.noc.topology == "mesh" and file.noc.tiles_per_router != 1:
        found.append(("noc.tiles_per_router", "a mesh has one tile per router; use topology: cmesh"))
    if file.offchip.energy == "static" and file.offchip.static_mw is None:
        found.append(("offchip.static_mw", "missing, but offchip.energy is static"))
    if file.pe.programmed_at_once > file.pe.crossbars:
        message = f"{file.pe.programmed_at_once} crossbars written at once, of {file.pe.crossbars} in the element"
        found.append(("pe.programmed_at_once", message))
    if file.device.g_max_us <= file.device.g_min_us:
        message = f"{float(file.device.g_max_us):g} is not above device.g_min_us of {float(file.device.g_min_us):g}"
        found.append(("device.g_max_us", message))
    if file.gate is not None and file.mask_buffer is None:
        found.append(("mask_buffer", "missing, but the chip has column gates"))
    return found + _converter_faults(file) + _crossbar_faults(file)


def _converter_faults(file: ChipFile) -> list[tuple[str, str]]:
    """Converters without the figures that their kind needs, and laws that are not about them."""
    adc, found = file.adc, []
    if adc.kind == "sar" and adc.rate_gsps is None:
        found.append(("adc.rate_gsps", "missing, but adc.kind is sar"))
    if adc.kind == "step" and adc.step_ns is None:
        found.append(("adc.step_ns", "missing, but adc.kind is step"))
    if adc.kind != "sar" and adc.law is not None:
        found.append(("adc.law", f"is about SAR converters, but adc.kind is {adc.kind}; state adc.energy_pj"))
    return found


def _crossbar_faults(file: ChipFile) -> list[tuple[str, str]]:
    """Keys of a crossbar that do not go with its encoding or layout."""
    crossbar, read, found = file.crossbar, file.crossbar.read, []
    if file.dac.serves == "slices" and crossbar.slices != "arrays":
        found.append(("dac.serves", "slices share drivers where they stand in arrays; set crossbar.slices: arrays"))
    if crossbar.subtract == "analog" and crossbar.encoding != "differential":
        found.append(("crossbar.subtract", "analog subtraction needs crossbar.encoding: differential"))
    if (read.volts is None) != (read.pulse_ns is None):
        found.append(("crossbar.read", "volts and pulse_ns go together"))
    if read.volts is not None and (read.energy_pj is not None or read.array_energy_pj is not None):
        found.append(("crossbar.read", "read energy comes from a figure or from V^2 x G x t, never from both"))
    return found


def law_remarks(file: ChipFile) -> list[str]:
    """Figures that come from a law away from its anchor, and laws outside their validity."""
    said = [
        f"{name}: law {kind}: {remark}" for name, kind, scaled, outside in _laws(file) for remark in scaled + outside
    ]
    return said + (["energies or areas come from Accelergy tables"] if file.accelergy else [])


def law_warnings(file: ChipFile) -> list[str]:
    """Laws that are used outside their validity."""
    return [f"{name}: law {kind}: {remark}" for name, kind, _, outside in _laws(file) for remark in outside]


def _laws(file: ChipFile) -> Iterator[tuple[str, str, list[str], list[str]]]:
    """Every law in use: part, kind, what is scaled, what is outside its validity."""
    adc, dac, buffer, store = file.adc, file.dac, file.buffer, file.mask_store
    if adc.law and None in (adc.energy_pj, adc.area_um2):
        yield "adc", adc.law.kind, adc.law.scaled(adc.bits), adc.law.outside(adc.bits, adc.rate_gsps)
    if dac.law and None in (dac.energy_pj, dac.area_um2):
        yield "dac", dac.law.kind, dac.law.scaled(dac.bits), dac.law.outside(dac.bits)
    if buffer.law:
        yield "buffer", buffer.law.kind, buffer.law.scaled(buffer.bytes), buffer.law.outside(buffer.bytes)
    if store and store.law:
        size = -(-store.bits // 8)
        yield "mask_store", store.law.kind, store.law.scaled(size), store.law.outside(size)
    for name in ("gate", "mask_buffer", "activation", "pool", "requantise", "scaler", "vector"):
        part: Logic | None = getattr(file, name)
        if part and part.law and None in (part.energy_pj, part.area_um2):
            yield name, part.law.kind, part.law.scaled(), part.law.outside()
