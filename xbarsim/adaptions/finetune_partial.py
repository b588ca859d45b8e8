"""Partial fine-tuning: named layers, the last blocks, or biases and normalisation only."""

from __future__ import annotations

from xbarsim.adaptions.base import Need
from xbarsim.adaptions.finetune import Finetune


class FinetunePartial(Finetune, name="finetune-partial"):
    """Layers that the task has weights of are rewritten; a task without any trains what is digital alone."""

    granularity = "layer"
    rewrites = "cells of retrained layers whose level differs"
    stores = "the weights of retrained layers"
    source = "general practice; MobileTL (AAAI 2023) and CUBER (NeurIPS 2022) are of this kind"
    needs = (Need("weights", optional=True),)
