"""A method from another package: found by its entry point, compared like ours."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from network.rich import rich
from network.small import ROWS

import xbarsim as xs
from xbarsim.adaptions import Adaption
from xbarsim.network import Network
from xbarsim.network.bundle_writer import write_bundle

MODULE = '''
"""Half the weights, as another package would write it."""

from xbarsim.adaptions import Adaption, Need
from xbarsim.network import Coding


class Halved(Adaption, name="acme-halved"):
    """Weights under a mask are halved."""

    granularity = "weight"
    rewrites = "masked weights"
    stores = "1 bit per weight"
    source = "Acme, 2024"
    needs = (Need("masks", Coding("binary", "element")),)

    def contents(self, chip, network, task, layer, bits):
        weights = network.integers(layer, bits)
        mask = task.mask(self.name, layer) if task else None
        return weights if mask is None else weights // (1 + mask.values.astype(weights.dtype))

    def rewritten(self, network, task, layer):
        return task is not None
'''


@pytest.fixture
def acme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Install the distribution ``acme`` in a folder of its own."""
    folder = tmp_path / "site"
    info = folder / "acme-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[xbarsim.adaptions]\nacme-halved = acme_halved:Halved\n")
    (folder / "acme_halved.py").write_text(MODULE)
    monkeypatch.syspath_prepend(folder)
    importlib.invalidate_caches()
    yield
    sys.modules.pop("acme_halved", None)
    Adaption._members.pop("acme-halved", None)


def bundle(path: Path) -> Network:
    """The rich bundle, with piggyback's masks under the other package's name, too."""
    made = rich()
    tasks = {
        name: replace(task, methods=dict(task.methods) | {"acme-halved": task.methods["piggyback"]})
        for name, task in made.tasks.items()
    }
    return write_bundle(path, replace(made, tasks=tasks))


def test_another_packages_method_is_compared(acme: None, tmp_path: Path) -> None:
    chip = xs.load_chip("xbm_72", [f"crossbar.rows={ROWS}", "crossbar.cols=16"])
    network = bundle(tmp_path / "rich.xmn")
    assert "acme-halved" in Adaption.known()
    frame = xs.compare(chip, network, ["acme-halved", "piggyback", "xbm"], "red:1,blue:1").set_index("method")
    assert frame.cells_written["acme-halved"] > 0
    assert frame.mask_bits["acme-halved"] == frame.mask_bits["piggyback"]
    assert frame.cells_written["xbm"] == 0
    assert Adaption.named("acme-halved").__module__ == "acme_halved"


def test_it_is_held_to_its_own_needs(acme: None, tmp_path: Path) -> None:
    from xbarsim.errors import InputError

    chip = xs.load_chip("xbm_72", [f"crossbar.rows={ROWS}", "crossbar.cols=16"])
    made = rich()
    tasks = {
        name: replace(task, methods=dict(task.methods) | {"acme-halved": task.methods["xma"]})
        for name, task in made.tasks.items()
    }
    network = write_bundle(tmp_path / "rich.xmn", replace(made, tasks=tasks))
    with pytest.raises(InputError, match="method 'acme-halved' needs binary masks by element"):
        xs.simulate(chip, network, "acme-halved", "red:1")
