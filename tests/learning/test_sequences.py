"""Tasks that share one set of weights: who owns what, and that older tasks stay as they are."""

from __future__ import annotations

from itertools import pairwise
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
from xbarsim.learning.learn import LearnedTask, learn  # noqa: E402
from xbarsim.learning.sequences import FREE  # noqa: E402
from xbarsim.network.bundle_writer import write_bundle  # noqa: E402

METHODS = ("packnet", "cpg", "xst")


def chain(method: str, tasks: int = 3) -> list[LearnedTask]:
    found: list[LearnedTask] = []
    for name in small.TASKS:
        after = found[-1] if found else None
        data = small.task(name)
        found.append(learn(small.backbone(), method, data, "xbm_72", epochs=4, after=after, options={"tasks": tasks}))
    return found


@pytest.fixture(scope="module", params=METHODS)
def three(request: pytest.FixtureRequest) -> list[LearnedTask]:
    return chain(request.param)


def test_owners_keep_what_they_have(three: list[LearnedTask]) -> None:
    for older, newer in pairwise(three):
        for name, owners in older.owned.items():
            taken = owners != FREE
            assert np.array_equal(newer.owned[name][taken], owners[taken])
            free = spread(older, name) == FREE
            same = older.shared.weights[name] == newer.shared.weights[name]
            assert same[~free].all()
            assert (older.shared.weights[name][free] == 0).all()
            assert older.shared.owners[name].values.max() == len(older.sequence)


def layer_of(name: str):  # type: ignore[no-untyped-def]
    return small.backbone().layers[name]


def spread(learned: LearnedTask, name: str) -> np.ndarray:  # type: ignore[type-arg]
    """Who owns every weight."""
    from xbarsim.learning.masks import Columns

    owned = torch.from_numpy(learned.owned[name])
    shape = layer_of(name).weight_shape
    return (Columns(shape, 72).spread(owned) if learned.method == "xst" else owned.reshape(shape)).numpy()


def test_the_last_task_takes_what_is_left(three: list[LearnedTask]) -> None:
    assert all((owners != FREE).all() for owners in three[-1].owned.values())
    for owners in three[-1].owned.values():
        counts = np.bincount(owners.reshape(-1), minlength=4) / owners.size
        assert counts[0] == pytest.approx(0.4, abs=0.05)
        assert counts[1:] == pytest.approx([0.2] * 3, abs=0.06)


def test_the_backbones_weights_stay_the_backbones(three: list[LearnedTask]) -> None:
    quantisers = small.backbone().quantisers
    for name, weights in three[-1].shared.weights.items():
        mine = spread(three[-1], name) == 0
        frozen = quantisers[name].integers(small.backbone().weight(name).detach().numpy())
        assert np.array_equal(weights[mine], frozen[mine])


def test_picks_are_of_older_owners(three: list[LearnedTask]) -> None:
    for number, one in enumerate(three, 1):
        for name, mask in one.content.masks.items():
            picked = mask.values.reshape(one.owned[name].shape).astype(bool)
            owners = one.owned[name][picked]
            assert ((owners >= 0) & (owners < number)).all()


def test_older_tasks_compute_the_same_in_the_bundle_of_all(three: list[LearnedTask], tmp_path: Path) -> None:
    method, chip = three[0].method, load_chip("xbm_72")
    adaption, held = Adaption.named(method)(), []
    for count in (1, 3):
        net = write_bundle(tmp_path / f"{count}.xmn", bundle_content("a", small.backbone(), three[:count], "a test"))
        task, weights = net.task(small.TASKS[0]), []
        for name in ("stem.conv", "conv2", "conv3"):
            columns = adaption.columns(chip, task, name)
            contents = adaption.contents(chip, net, task, name, 8)
            weights.append(contents if columns is None else contents * spread_columns(columns, contents.shape[1]))
        held.append(weights)
    assert all(np.array_equal(one, other) for one, other in zip(*held, strict=True))


def spread_columns(columns: np.ndarray, rows: int) -> np.ndarray:  # type: ignore[type-arg]
    return columns[np.arange(rows) // 72].T


def test_a_sequence_of_unknown_length_goes_on() -> None:
    found = chain("packnet", tasks=1)
    assert found[-1].sequence == small.TASKS
    assert [len(one.sequence) for one in found] == [1, 2, 3]


def test_broken_sequences_are_refused(three: list[LearnedTask]) -> None:
    net, data = small.backbone(), small.task("rotated")
    method = three[0].method
    with pytest.raises(InputError, match="in the sequence already"):
        learn(net, method, data, "xbm_72", epochs=1, after=three[-1])
    with pytest.raises(InputError, match="not with"):
        learn(net, "cpg" if method != "cpg" else "xst", small.task("noisy"), "xbm_72", epochs=1, after=three[0])
    with pytest.raises(InputError, match="each for itself"):
        learn(net, "xbm", data, "xbm_72", epochs=1, after=three[0])
    with pytest.raises(InputError, match="missing: digits"):
        bundle_content("a", net, three[1:], "a test")
    with pytest.raises(InputError, match="in the order"):
        bundle_content("a", net, [three[1], three[0], three[2]], "a test")
