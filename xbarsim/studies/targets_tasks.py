"""What the publications of column-mask methods claim of task switches: sign and order over all device presets.

Published write energies span a factor of 400 and the inferences per task are not published: numbers are shown
device by device, only their signs are asserted.
"""

from __future__ import annotations

from functools import lru_cache, partial
from itertools import pairwise

from xbarsim.adaptions import Adaption
from xbarsim.chip import Chip
from xbarsim.config import known
from xbarsim.network import load_network
from xbarsim.studies.simulate import simulate
from xbarsim.studies.targets import Load, target

NETWORK, SCENARIO = "resnet20", "task1:1"
PERCENT = 100


@lru_cache(maxsize=64)
def _energies(chip: tuple[str, tuple[str, ...]], method: str) -> tuple[float, float]:
    """Energy of switching to a task, and of one inference, in picojoules."""
    from xbarsim.chip import load_chip

    run = simulate(load_chip(*chip), load_network(NETWORK), method, SCENARIO)
    return sum(switch.energy_pj for switch in run.switches), run.inferences[0].energy_pj


def _of(chip: Chip, method: str) -> tuple[float, float]:
    return _energies((chip.origin, chip.overrides), method)


def _ratio(load: Load, device: str) -> float:
    """Energy of a switch and one inference, Piggyback over XMA."""
    chip = load("xbm_72", f"device={device}")
    return sum(_of(chip, "piggyback")) / sum(_of(chip, "xma"))


def _order(load: Load, device: str) -> float:
    """Of the three steps XBM, XMA, Piggyback, fine-tuning: how many do not lower the energy of a switch."""
    chip = load("xbm_72", f"device={device}")
    steps = [_of(chip, method)[0] for method in ("xbm", "xma", "piggyback", "finetune")]
    return float(sum(low <= high for low, high in pairwise(steps)))


for _device in known("devices"):
    target(
        f"xbm_72-xma-{_device}", "xma_dac22.efficiency",
        f"energy of a switch and one inference, Piggyback over XMA, device {_device}", tier=3, tolerance=1,
        measure="more_than", how="trend", breaks="mask_store.energy_pj=1e9",
    )(partial(_ratio, device=_device))  # fmt: skip
    target(
        f"xbm_72-order-{_device}", "xma_dac22.order",
        f"steps in which the energy of a switch does not fall: XBM, XMA, Piggyback, fine-tuning, device {_device}",
        tier=3, tolerance=2.5, measure="more_than", how="trend",
    )(partial(_order, device=_device))  # fmt: skip


@target(
    "xbm_72-xbm-saving", "xbm_aspdac22.saving", "energy of an inference that gated columns save, %", tier=3,
    tolerance=10, measure="more_than", how="trend", breaks="adc.converts=all",
)  # fmt: skip
def xbm_saving(load: Load) -> float:
    """XBM against Piggyback; depends on which columns a task switches off, not on the device."""
    chip = load("xbm_72")
    return PERCENT * (1 - _of(chip, "xbm")[1] / _of(chip, "piggyback")[1])


@target(
    "xbm_72-mask", "xbm_aspdac22.mask", "mask bits of XBM over those of Piggyback, ResNet-50, %", tier=2,
    tolerance=0.05, measure="absolute", how="sum", breaks="crossbar.rows=128",
)  # fmt: skip
def mask_share(load: Load) -> float:
    """One bit per column of 72 rows against one per weight, heads left out."""
    chip, network = load("xbm_72"), load_network("resnet50")
    layers = [layer for layer in network.layers.values() if not layer.head]
    columns, weights = (
        sum(Adaption.named(method)().mask_bits(chip, layer) for layer in layers) for method in ("xbm", "piggyback")
    )
    return PERCENT * columns / weights
