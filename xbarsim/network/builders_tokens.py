"""Token networks that people know, as layer tables: a small ViT, BERT-base, Flan-T5-large.

What the graph cannot say is left out, and the table says so: look-ups of embeddings are no products with a
matrix and stand before the input, class tokens and positions with them; constant factors and offsets inside
attention are no work of crossbars.
"""

from __future__ import annotations

from xbarsim.network.blueprint import Blueprint, Draft
from xbarsim.network.layer_table import INPUT

DRAWN = {"tasks": 2, "xbm_on": 0.6, "piggyback_on": 0.8, "lora_rank": 16, "lora_layers": ["*.q", "*.v"]}
"""Two tasks of masks drawn from the run's seed; LoRA pairs beside queries and values."""


def vit_tiny() -> Blueprint:
    """ViT-Ti/16 at 224x224 (DeiT-Ti): 5,717,416 parameters, of which 5,679,400 stand in the table."""
    draft = Draft()
    draft.add("conv", "patch_embed", out=192, kernel=16, stride=16, bias=True)
    draft.add("flatten", "tokens", tokens=True)
    for number in range(12):
        name, source = f"blocks.{number}", draft.last
        normed = draft.add("layer_norm", f"{name}.norm1", eps=1e-6)
        _attention(draft, f"{name}.attn", normed, normed, width=192, heads=3, bias=True, out="proj")
        source = draft.add("add", f"{name}.add1", draft.last, source)
        draft.add("layer_norm", f"{name}.norm2", eps=1e-6)
        draft.add("linear", f"{name}.mlp.fc1", out=768)
        draft.add("gelu", f"{name}.mlp.act")
        draft.add("linear", f"{name}.mlp.fc2", out=192)
        draft.add("add", f"{name}.add2", draft.last, source)
    draft.add("layer_norm", "norm", eps=1e-6)
    draft.add("global_avg_pool", "pool")
    draft.add("linear", "head", out=1000)
    comment = (
        "ViT-Ti/16 at 224x224 (Touvron et al. 2021, DeiT-Ti, arXiv 2012.12877): 12 blocks of width 192, 3 heads.\n"
        "Simplified: the mean of the 196 patch tokens takes the place of the class token, positions are left out, "
        "and q, k and v are three layers in place of one."
    )
    return Blueprint("vit_tiny", comment, (3, 224, 224), tuple(draft.entries), synthetic=DRAWN)


def bert_base() -> Blueprint:
    """BERT-base on 128 tokens: 109,482,240 parameters, 23,837,184 of them embeddings before the input."""
    draft = Draft()
    for number in range(12):
        name, source = f"encoder.layer.{number}", draft.last
        _attention(draft, f"{name}.attention", source, source, width=768, heads=12, bias=True, out="output")
        draft.add("add", f"{name}.attention.add", draft.last, source)
        source = draft.add("layer_norm", f"{name}.attention.norm", eps=1e-12)
        draft.add("linear", f"{name}.intermediate", out=3072)
        draft.add("gelu", f"{name}.gelu")
        draft.add("linear", f"{name}.output", out=768)
        draft.add("add", f"{name}.add", draft.last, source)
        draft.add("layer_norm", f"{name}.norm", eps=1e-12)
    draft.add("global_avg_pool", "mean")
    draft.add("linear", "pooler", out=768)
    draft.add("tanh", "pooler.tanh")
    draft.add("linear", "classifier", out=2)
    comment = (
        "BERT-base (Devlin et al. 2019, arXiv 1810.04805) on 128 tokens with a head of 2 classes: 12 blocks of width "
        "768, 12 heads.\n"
        "Simplified: the input is the sum of the embeddings (look-ups, left out with their normalisation); the pooler "
        "sees the mean of the tokens, not the first one."
    )
    return Blueprint("bert_base", comment, (768, 128, 1), tuple(draft.entries), synthetic=DRAWN)


def flan_t5_large() -> Blueprint:
    """Flan-T5-large on 128 tokens: 783,150,080 parameters, 750,125,056 of them weights in the table."""
    draft = Draft()
    for number in range(24):
        name = f"encoder.block.{number}"
        _t5_attention(draft, f"{name}.layer.0.SelfAttention")
        _t5_feed_forward(draft, f"{name}.layer.1")
    encoded = draft.add("layer_norm", "encoder.final_layer_norm", eps=1e-6)
    source = INPUT
    for number in range(24):
        name = f"decoder.block.{number}"
        source = _t5_attention(draft, f"{name}.layer.0.SelfAttention", source)
        _t5_attention(draft, f"{name}.layer.1.EncDecAttention", source, encoded)
        source = _t5_feed_forward(draft, f"{name}.layer.2")
    draft.add("layer_norm", "decoder.final_layer_norm", eps=1e-6)
    draft.add("linear", "lm_head", out=32128, bias=False)
    comment = (
        "Flan-T5-large (Chung et al. 2022, arXiv 2210.11416; shapes of T5 1.1, Raffel et al. 2020, arXiv 1910.10683) "
        "on 128 tokens: 24 encoder and 24 decoder blocks of width 1024, 16 heads, gated feed-forward of 2816.\n"
        "Simplified: the graph has one input, so that encoder and decoder see the same 128 embedded tokens, the "
        "decoder all at once; embeddings (look-ups) and relative positions are left out; layer_norm stands for a "
        "normalisation without mean and offset."
    )
    return Blueprint(
        "flan_t5_large", comment, (1024, 128, 1), tuple(draft.entries), synthetic={**DRAWN, "fusion_modules": 20}
    )


def _attention(
    draft: Draft, name: str, queries: str, keys: str, *, width: int, heads: int, bias: bool, out: str
) -> str:
    """Attention of the tokens of ``queries`` to those of ``keys``; the last linear layer is called ``out``."""
    attrs = {"out": width} if bias else {"out": width, "bias": False}
    q = draft.add("linear", f"{name}.q", queries, **attrs)
    k = draft.add("linear", f"{name}.k", keys, **attrs)
    draft.add("matmul", f"{name}.scores", q, k, transpose_b=True, heads=heads)
    softmax = draft.add("softmax", f"{name}.softmax", heads=heads)
    v = draft.add("linear", f"{name}.v", keys, **attrs)
    draft.add("matmul", f"{name}.context", softmax, v, heads=heads)
    return draft.add("linear", f"{name}.{out}", **attrs)


def _t5_attention(draft: Draft, name: str, source: str | None = None, encoded: str | None = None) -> str:
    """Normalisation, attention to oneself or to the encoder, and the shortcut."""
    source = source or draft.last
    layer = name.rpartition(".")[0]
    normed = draft.add("layer_norm", f"{layer}.layer_norm", source, eps=1e-6)
    _attention(draft, name, normed, encoded or normed, width=1024, heads=16, bias=False, out="o")
    return draft.add("add", f"{layer}.add", draft.last, source)


def _t5_feed_forward(draft: Draft, layer: str) -> str:
    """Normalisation, a gate times a linear layer, the layer back to the width, and the shortcut."""
    source = draft.last
    normed = draft.add("layer_norm", f"{layer}.layer_norm", eps=1e-6)
    name = f"{layer}.DenseReluDense"
    draft.add("linear", f"{name}.wi_0", normed, out=2816, bias=False)
    gate = draft.add("gelu", f"{name}.act")
    linear = draft.add("linear", f"{name}.wi_1", normed, out=2816, bias=False)
    draft.add("mul", f"{name}.gated", gate, linear)
    draft.add("linear", f"{name}.wo", out=1024, bias=False)
    return draft.add("add", f"{layer}.add", draft.last, source)
