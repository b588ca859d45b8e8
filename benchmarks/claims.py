"""What xbarsim gives beside each published claim on mask methods: `python benchmarks/claims.py`.

Every figure comes from a run on this spot. docs/claims.md says what they mean.
"""

from __future__ import annotations

from collections.abc import Callable

import xbarsim as xs

DEVICES = ("taox_hfox", "neurosim_rram", "puma_serial", "prime_tio2", "neurram_hfox", "milo_hfo2")
"""Published write energies per cell span a factor of 400; no one of them is the truth."""
XMA_CLAIM = 4.3


def mask_memory() -> None:
    bits = xs.show(xs.load_chip("xbm_72"), xs.load_bundle("resnet50"))["mask_bits"]
    base = bits["piggyback"]
    line("XBM: mask 1.4 % of Piggyback's", f"{100 * bits['xbm'] / base:.3f} % (ResNet-50, 72 rows)")
    for levels, size in (("2 bits", 2.0), ("3 bits", 3.0), ("5 levels, log2(5) bits", 2.321928094887362)):
        line(
            "XMA: saves 96.6 % of Piggyback's mask",
            f"{100 * (1 - size * bits['xbm'] / base):.2f} % ({levels}, 72 rows)",
        )


def energies(network: str, method: str, *overrides: str) -> tuple[float, float]:
    """(mean energy of a switch, mean energy of an inference) in pJ over all tasks."""
    rows = xs.compare(xs.load_chip("xbm_72", overrides), xs.load_bundle(network), [method])
    return float(rows["switch_energy_pj"].iloc[0]), float(rows["energy_per_inference_pj"].iloc[0])


def gating() -> None:
    for network in ("digits", "resnet50"):
        switch, inference = energies(network, "xbm")
        rewrite, whole = energies(network, "piggyback")
        what = "trained masks" if network == "digits" else "synthetic masks, 60 % of the columns on"
        line('XBM: "saves up to 40 %", inference', f"{100 * (1 - inference / whole):.1f} % ({network}, {what})")
        line(
            'XBM: "saves up to 40 %", adaption', f"{100 * (1 - switch / rewrite):.2f} % ({network}, against Piggyback)"
        )


def amortised() -> None:
    """4.3x holds where (Piggyback's switch + N inferences) / (XMA's switch + N inferences) is 4.3."""
    for device in DEVICES:
        piggyback, xma = (energies("digits", method, f"device={device}") for method in ("piggyback", "xma"))
        at = (piggyback[0] - XMA_CLAIM * xma[0]) / (XMA_CLAIM * xma[1] - piggyback[1])
        once = (piggyback[0] + piggyback[1]) / (xma[0] + xma[1])
        line(
            "XMA: 4.3 x energy efficiency", f"at {at:.1f} inferences per switch; {once:.1f} x at one (digits, {device})"
        )


def sparse_training() -> None:
    _, inference = energies("digits", "xst")
    _, whole = energies("digits", "finetune")
    line("XST: 1.5 x inference energy", f"{whole / inference:.2f} x (digits, trained masks)")


def line(claim: str, found: str) -> None:
    print(f"| {claim} | {found} |")


PARTS: tuple[Callable[[], None], ...] = (mask_memory, gating, amortised, sparse_training)

if __name__ == "__main__":
    print("| published | xbarsim gives |\n|---|---|")
    for part in PARTS:
        part()
