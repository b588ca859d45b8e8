"""LoRAFusion: a frozen pool of LoRA modules on crossbars, mixed by digital coefficients of every task."""

from __future__ import annotations

from collections.abc import Mapping

from xbarsim.adaptions.base import Integers, Need
from xbarsim.adaptions.branches import SIGNED, Branch, Branched, beside, down, up
from xbarsim.chip import Chip
from xbarsim.network import Entry, Layer, Network, Task

COEFFICIENT_BITS = 32
"""Bits of a fusion coefficient or a magnitude."""


class Lorafusion(Branched, name="lorafusion"):
    """``NAME.pool_a`` holds the down layers of all modules side by side, ``NAME.pool_b`` their up layers stacked.

    Between them ``NAME.fuse`` multiplies each module's channels by its coefficient; ``NAME.magnitude``
    multiplies the output channels of the sum. A block has one set of coefficients: layers whose names
    agree up to the last dot.
    """

    granularity = "LoRA module"
    rewrites = "nothing"
    stores = "a coefficient per module and block, a magnitude per output channel, 32 bits each"
    source = "GLSVLSI 2025, 777-783, doi 10.1145/3716368.3735213"
    needs = (Need("shared"),)
    assumes = (
        SIGNED,
        f"coefficients and magnitudes have {COEFFICIENT_BITS} bits; magnitudes count as in the publication's 148K "
        "parameters, though its public code trains the coefficients alone",
    )

    def grow(self, network: Network) -> Mapping[str, Branch]:
        """A pool beside every layer that ``synthetic.lora_layers`` names."""
        rank, modules = network.drawn["lora_rank"], network.drawn["fusion_modules"]

        def pool(layer: Layer, source: str) -> Branch:
            a, fuse, b, total, size = (
                f"{layer.name}.{part}" for part in ("pool_a", "fuse", "pool_b", "fused", "magnitude")
            )
            return (
                down(layer, a, source, rank * modules),
                Entry(fuse, "scale", (a,), {"groups": modules}),
                up(layer, b, fuse),
                Entry(total, "add", (layer.name, b), {}),
                Entry(size, "scale", (total,), {}),
            )

        return beside(network, pool)

    def contents(self, chip: Chip, network: Network, task: Task | None, layer: str, bits: int) -> Integers:
        """The frozen backbone and the frozen pool."""
        return network.shared(self.name, layer, bits)

    def rewritten(self, network: Network, task: Task | None, layer: str) -> bool:
        """Nothing, ever."""
        return False

    def coefficients(self, network: Network, layer: str) -> int:
        """Numbers that a task trains beside one pooled layer; those of a block count at its first layer."""
        scales = {node.name: node for node in network.nodes if node.op == "scale"}
        fuse, size = scales.get(f"{layer}.fuse"), scales.get(f"{layer}.magnitude")
        if fuse is None:
            return 0
        block = [name for name in network.layers if f"{name}.fuse" in scales and _block(name) == _block(layer)]
        modules = int(fuse.attrs["groups"] or fuse.shape[0]) if block[0] == layer else 0  # type: ignore[call-overload]
        return modules + (size.shape[0] if size else 0)

    def mask_bits(self, chip: Chip, layer: Layer, task: Task | None = None) -> int:
        """Coefficients and magnitudes."""
        return self.coefficients(task.network, layer.name) * COEFFICIENT_BITS if task else 0

    def loaded_bits(self, chip: Chip, layer: Layer, task: Task | None = None) -> int:
        """All of them are set at a switch."""
        return self.mask_bits(chip, layer, task)


def _block(name: str) -> str:
    return name.rpartition(".")[0] or name
