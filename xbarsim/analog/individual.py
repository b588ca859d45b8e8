"""The columns of a row block whose cells have conductances, or converters errors, of their own."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from xbarsim.analog import cells
from xbarsim.analog.block import Plan
from xbarsim.analog.columns import HEADROOM, CellColumns, cell_columns
from xbarsim.errors import InputError

Floats = npt.NDArray[np.float64]


def individual_columns(plan: Plan) -> CellColumns:
    """Draw the cells of a row block and put them in front of their converters."""
    setup = plan.setup
    _, reference, level = setup.conductance
    data, units = _conductances(plan)
    counted = setup.adds_inputs == "columns"
    levels = _paired(plan, (data - reference) / level, -1)
    lows, steps = _ranges(plan)
    gains, offsets = _errors(plan)
    factor = gains / steps
    spread = np.empty((0, len(factor)))
    noise = setup.chip.file.device.read_noise
    if noise.proportional or noise.sigma_us:
        variances = [cells.read_variance(setup.chip.file.device, part) / level**2 for part in (data, units)]
        spread = _together(plan, _paired(plan, variances[0], 1), variances[1] * counted) * factor**2
    unit_levels = (units - reference) / level if counted else np.ones(units.shape)
    return cell_columns(
        plan.reads, _together(plan, levels, unit_levels) * factor, (offsets - lows) / steps, spread,
        _largest_variance(plan) * factor**2, _addresses(plan), setup.words, _most(plan), setup.source.key, plan.number,
    )  # fmt: skip


def _paired(plan: Plan, values: Floats, sign: int) -> Floats:
    """Values of the converted columns: where pairs are subtracted, of the first plus ``sign`` those of the second."""
    if not plan.setup.coding.paired:
        return values
    return np.asarray(values[:, : plan.data] + sign * values[:, plan.data :])


def _conductances(plan: Plan) -> tuple[Floats, Floats]:
    """Conductances in uS of the columns that are on, slice by slice, and of the unit columns; ``(rows, columns)``."""
    if plan.setup.circuit is not None:
        return _through_wires(plan)
    stored = plan.stored[:, :, plan.channels].reshape(len(plan.stored), -1)
    units = np.ones((len(stored), len(plan.units)), np.uint8)
    return _drawn(plan, stored, plan.addresses()), _drawn(plan, units, plan.unit_addresses())


def _drawn(plan: Plan, levels: npt.NDArray[np.uint8], addresses: npt.NDArray[np.uint32]) -> Floats:
    setup = plan.setup
    device, count = setup.chip.file.device, setup.chip.cell_levels
    return cells.conductances_us(device, count, levels, setup.source, addresses, plan.rows)


def _through_wires(plan: Plan) -> tuple[Floats, Floats]:
    """The same where wires are not ideal: whole crossbars, also their columns that are off."""
    setup, layout, crossbar = plan.setup, plan.layout, plan.setup.chip.file.crossbar
    rows, every = len(plan.stored), np.arange(plan.stored.shape[2])
    with_unit = setup.adds_inputs == "columns"
    drawn = _drawn(plan, plan.stored.reshape(rows, -1), layout.addresses(every).reshape(-1))
    place = layout.positions.reshape(-1)
    on = np.zeros(layout.count * crossbar.cols, bool)
    on[layout.positions[:, plan.channels]] = True
    units = np.zeros((rows, len(plan.units)))
    for number in range(layout.count):
        first = number * crossbar.cols
        here = np.flatnonzero(place // crossbar.cols == number)
        columns_on = on[first : first + crossbar.cols]
        if not columns_on.any():
            continue
        cell = np.full((crossbar.rows, crossbar.cols + with_unit), setup.conductance[0])
        cell[:rows, place[here] - first] = drawn[:, here]
        if with_unit:
            address = np.array([cells.UNIT_COLUMNS + number], np.uint32)
            cell[:rows, -1] = _drawn(plan, np.ones((rows, 1), np.uint8), address)[:, 0]
        effective = np.asarray(_call(plan, cell, np.append(columns_on, [True] * with_unit)))
        drawn[:, here] = effective[:rows, place[here] - first]
        if with_unit:
            units[:, np.searchsorted(plan.units, number)] = effective[:rows, -1]
    return drawn.reshape(rows, -1, len(every))[:, :, plan.channels].reshape(rows, -1), units


def _call(plan: Plan, cell: Floats, on: npt.NDArray[np.bool_]) -> Floats:
    if plan.setup.circuit is None:
        return cell
    effective = np.asarray(plan.setup.circuit(cell, on), np.float64)
    if effective.shape != cell.shape or not np.isfinite(effective).all():
        raise InputError(f"circuit: expected {cell.shape} finite conductances, got shape {effective.shape}")
    return effective


def _together(plan: Plan, data: Floats, units: Floats) -> Floats:
    """Columns of the data and, from ``unit_at`` on, unit columns; along the last axis."""
    out = np.zeros((*data.shape[:-1], plan.unit_at + units.shape[-1]))
    out[..., : plan.data] = data
    out[..., plan.unit_at :] = units
    return out


def _ranges(plan: Plan) -> tuple[Floats, Floats]:
    """Low end and step of the converter range of every column, ``(columns,)``."""
    setup, count = plan.setup, len(plan.channels)
    lows, steps = np.zeros(plan.unit_at + len(plan.units)), np.ones(plan.unit_at + len(plan.units))
    for at, used in enumerate(setup.ranges.slices):
        lows[at * count : (at + 1) * count] = float(used.low)
        steps[at * count : (at + 1) * count] = float(used.step)
    lows[plan.unit_at :], steps[plan.unit_at :] = (
        float(setup.unit_converter.range.low),
        float(setup.unit_converter.range.step),
    )
    return lows, steps


def _errors(plan: Plan) -> tuple[Floats, Floats]:
    """Gain and offset, in levels, of the converter of every column, ``(columns,)``."""
    setup, errors = plan.setup, plan.setup.chip.file.adc.errors
    converters = plan.layout.converters(setup.chip.file.adc.per_crossbar)
    own = converters[: setup.coding.converted, plan.channels].reshape(-1).astype(np.uint32)
    drawn = setup.source.normals(cells.CONVERTER, own, np.array([plan.number]))[:2, 0]
    gain, offset = float(errors.gain), float(errors.offset_levels)
    scatter = np.array([[errors.gain_sigma], [errors.offset_sigma_levels]])
    if setup.adds_inputs == "columns":
        again = setup.source.normals(cells.CONVERTER, plan.unit_addresses(), np.array([plan.number]))[:2, 0]
        units = again * scatter + [[1 + gain], [offset]]
    else:
        units = np.repeat([[1.0], [0.0]], len(plan.units), axis=1)
    gains, offsets = _together(plan, drawn * scatter + [[1 + gain], [offset]], units)
    return gains, offsets


def _largest_variance(plan: Plan) -> float:
    """Variance of a read, in levels squared, that hardly a cell is above."""
    device, (_, _, level) = plan.setup.chip.file.device, plan.setup.conductance
    most = cells.read_variance(device, np.array(HEADROOM * float(device.g_max_us)))
    return float(most) / level**2 * (2 if plan.setup.coding.paired else 1)


def _most(plan: Plan) -> list[int]:
    """Largest column sum of ideal cells, in levels, of each segment."""
    setup = plan.setup
    least, reference, level = setup.conductance
    leak = 0.0 if reference else least / level
    data, unit = (int((top + leak) * setup.most(1)) + 1 for top in (setup.coding.highest, 1))
    segments = len(plan.reads.segments)
    return [data] * (segments - 1) + [unit] if len(plan.units) else [data] * segments


def _addresses(plan: Plan) -> npt.NDArray[np.uint32]:
    """Addresses of all converted columns, ``(columns,)``."""
    out = np.zeros(plan.unit_at + len(plan.units), np.uint32)
    out[: plan.data] = plan.addresses()[: plan.data]
    out[plan.unit_at :] = plan.unit_addresses()
    return out
