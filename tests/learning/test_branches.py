"""LoRA and Rep-Net: branches beside a frozen backbone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("sklearn")

from learning import small  # noqa: E402

from xbarsim.adaptions import Adaption  # noqa: E402
from xbarsim.chip import load_chip  # noqa: E402
from xbarsim.errors import InputError  # noqa: E402
from xbarsim.learning import bundle_content  # noqa: E402
from xbarsim.learning.backbone import Backbone  # noqa: E402
from xbarsim.learning.branches import Lora, Repnet  # noqa: E402
from xbarsim.learning.learn import learn  # noqa: E402
from xbarsim.network.bundle_writer import write_bundle  # noqa: E402

BRANCHED = {"lora": Lora, "repnet": Repnet}


@pytest.mark.parametrize("method", BRANCHED)
def test_branches_add_nothing_at_first(method: str) -> None:
    net = small.backbone().eval()
    grown = BRANCHED[method].grown(net).eval()
    inputs = small.task("digits").inputs("test")
    with torch.no_grad():
        assert torch.equal(grown(inputs), net(inputs))
    assert len(grown.nodes) > len(net.nodes)


@pytest.mark.parametrize("method", BRANCHED)
def test_a_bundle_brings_the_branches_and_the_backbone_as_it_is(method: str, tmp_path: Path) -> None:
    found = [learn(small.backbone(), method, small.task(name), "xbm_72", epochs=3) for name in ("rotated", "odd_even")]
    content = bundle_content("a", small.backbone(), found, "a test")
    net = write_bundle(tmp_path / "a.xmn", content)
    adaption, chip = Adaption.named(method)(), load_chip("xbm_72")
    whole = adaption.extend(net)
    branches = [name for name in whole.layers if whole.branch(name)]
    assert branches
    for name, layer in whole.layers.items():
        one, other = (adaption.contents(chip, whole, whole.task(task), name, 8) for task in ("rotated", "odd_even"))
        assert one.shape == (layer.c_out, layer.rows)
        assert np.array_equal(one, other) == (name not in branches)
    back = Backbone.of(net, "rotated", method).eval()
    task = small.task("rotated")
    with torch.no_grad():
        accuracy = float((back(task.inputs("test")).argmax(1) == task.labels("test")).double().mean())
    assert accuracy == pytest.approx(found[0].accuracy["float"], abs=0.005)


def test_pairs_are_learned() -> None:
    found = learn(small.backbone(), "lora", small.task("rotated"), "xbm_72", epochs=8, options={"rank": 2})
    assert found.content.weights["conv3.lora_a"].shape == (2, 16, 3, 3)
    assert found.content.weights["conv3.lora_b"].shape == (24, 2, 1, 1)
    assert np.abs(found.content.weights["conv3.lora_b"]).max() == 127
    assert found.accuracy["quantised"] > 0.6


def test_pairs_stand_beside_named_layers() -> None:
    found = learn(
        small.backbone(), "lora", small.task("digits"), "xbm_72", epochs=1, options={"layers": ["conv*"], "rank": 2}
    )
    assert set(found.content.weights) == {f"conv{at}.lora_{end}" for at in (2, 3) for end in "ab"}
    with pytest.raises(InputError, match="no layer"):
        learn(small.backbone(), "lora", small.task("digits"), "xbm_72", epochs=1, options={"layers": ["conv9"]})


def test_side_modules_stand_behind_named_nodes() -> None:
    options = {"places": ["relu2"], "channels": 4}
    found = learn(small.backbone(), "repnet", small.task("digits"), "xbm_72", epochs=1, options=options)
    assert set(found.content.weights) == {"relu2.rep_conv", "relu2.rep_point"}
