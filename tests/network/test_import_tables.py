"""Tables of NeuroSim and SCALE-Sim: layers as they are stated, connections as they follow from the shapes."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xbarsim.chip import load_chip
from xbarsim.errors import InputError
from xbarsim.mapping import place
from xbarsim.network import Layer, load_network
from xbarsim.network.builders import BUILDERS
from xbarsim.network.graph import derive_layers
from xbarsim.network.importers import Tabled, read_neurosim, read_scalesim
from xbarsim.network.importers.rows import Row, connect

VGG8 = """\
32,32,3,3,3,128,0,1
32,32,128,3,3,128,1,1
16,16,128,3,3,256,0,1
16,16,256,3,3,256,1,1
8,8,256,3,3,512,0,1
8,8,512,3,3,512,1,1
1,1,8192,1,1,1024,0,1
1,1,1024,1,1,10,0,1
"""

RESNET = """\
Layer name, IFMAP Height, IFMAP Width, Filter Height, Filter Width, Channels, Num Filter, Strides,
Conv1, 224, 224, 7, 7, 3, 64, 2,
CB2a_1, 56, 56, 1, 1, 64, 64, 1,
CB2a_2, 56, 56, 3, 3, 64, 64, 1,
CB2a_3, 56, 56, 1, 1, 64, 256, 1,
CB2s, 56, 56, 1, 1, 64, 256, 1,
IB2b_1, 56, 56, 1, 1, 256, 64, 1,
IB2b_2, 56, 56, 3, 3, 64, 64, 1,
IB2b_3, 56, 56, 1, 1, 64, 256, 1,
CB3s, 56, 56, 1, 1, 256, 512, 2,
FC6, 1, 1, 1, 1, 512, 1000, 1,
"""

MOBILENET = """\
Layer name, IFMAP Height, IFMAP Width, Filter Height, Filter Width, Channels, Num Filter, Strides,

Conv1, 224, 224, 3, 3, 3, 32, 2,
Conv2_dw, 112, 112, 3, 3, 1, 1, 1,
Conv3, 112, 112, 1, 1, 32, 64, 1,
Conv4, 112, 112, 3, 3, 1, 1, 2,#dw
Conv5, 56, 56, 1, 1, 64, 128, 1,
FC, 1, 1, 1, 1, 128, 1000, 1,
"""

GEMM = "Layer,M,N,K,\nqkv,196,1152,384,\nscores,196,196,64,\nmlp,196,1536,384,\nout,196,384,1536,\n"


@pytest.fixture
def neurosim(tmp_path: Path) -> Path:
    path = tmp_path / "NetWork.csv"
    path.write_text(VGG8)
    return path


def layers(made: Tabled) -> dict[str, Layer]:
    return derive_layers(made.blueprint.nodes)


def stated(made: Tabled) -> list[tuple[int, ...]]:
    """Channels, kernel, outputs, size of the result."""
    return [(one.c_in, *one.kernel, one.c_out, *one.out_hw) for one in layers(made).values()]


def test_neurosim_s_vgg8_is_ours(neurosim: Path) -> None:
    made = read_neurosim(neurosim, "vgg8")
    assert made.warnings == ()
    ours = derive_layers(BUILDERS["vgg8"]().nodes).values()
    assert stated(made) == [(one.c_in, *one.kernel, one.c_out, *one.out_hw) for one in ours]
    assert [entry.op for entry in made.blueprint.entries].count("max_pool") == 3


def test_a_table_is_a_network_like_any_other(neurosim: Path, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    read_neurosim(neurosim).blueprint.write(path)
    placement = place(load_chip("xbm_72"), load_network(path))
    ours = place(load_chip("xbm_72"), load_network("vgg8"))
    assert [site.grid.crossbars for site in placement.sites.values()] == [
        site.grid.crossbars for site in ours.sites.values()
    ]


def test_early_neurosim_tables_have_no_stride(tmp_path: Path) -> None:
    path = tmp_path / "NetWork.csv"
    path.write_text("8,8,3,3,3,4,1\n4,4,4,3,3,8,0\n")
    assert stated(read_neurosim(path)) == [(3, 3, 3, 4, 8, 8), (4, 3, 3, 8, 4, 4)]


def scalesim(tmp_path: Path, text: str) -> Tabled:
    path = tmp_path / "net.csv"
    path.write_text(text)
    return read_scalesim(path)


def test_scalesim_shortcuts_are_found(tmp_path: Path) -> None:
    """Two outputs of one shape that nobody has read are a sum; of equal shapes that are read the latest is meant."""
    made = scalesim(tmp_path, RESNET)
    reads = {entry.name: entry.inputs for entry in made.blueprint.entries}
    assert reads["IB2b_1.add"] == ("CB2a_3", "CB2s")
    assert reads["IB2b_1"] == ("IB2b_1.add",)
    assert reads["CB2a_1"] == ("CB2a_1.pool",)
    assert reads["CB2s"] == ("CB2a_2",)
    assert reads["CB3s"] == ("IB2b_3",)
    assert reads["FC6"] == ("FC6.pool",)
    assert layers(made)["FC6"].head


def test_padding_follows_from_the_rows_after(tmp_path: Path) -> None:
    made = scalesim(tmp_path, RESNET)
    found = layers(made)
    assert found["Conv1"].out_hw == (112, 112)
    assert found["CB2a_2"].padding == (1, 1)
    assert "3 convolutions are padded to keep their size" in made.warnings[0]
    alone = scalesim(tmp_path, RESNET.partition("CB2a_1")[0])
    assert layers(alone)["Conv1"].padding == (0, 0)


def test_depthwise_rows_state_one_channel(tmp_path: Path) -> None:
    found = layers(scalesim(tmp_path, MOBILENET))
    assert [(one.name, one.groups) for one in found.values()] == [
        ("Conv1", 1), ("Conv2_dw", 32), ("Conv3", 1), ("Conv4", 64), ("Conv5", 1), ("FC", 1),
    ]  # fmt: skip
    assert found["Conv4"].out_hw == (56, 56)


def test_products_of_matrices(tmp_path: Path) -> None:
    """M rows are tokens; a row that no output above can feed is told, and keeps its shape."""
    made = scalesim(tmp_path, GEMM)
    assert stated(made) == [
        (384, 1, 1, 1152, 196, 1), (64, 1, 1, 196, 196, 1), (384, 1, 1, 1536, 196, 1), (1536, 1, 1, 384, 196, 1),
    ]  # fmt: skip
    assert any("line 3: 'scores' reads 64x196x1" in line or "'qkv' reads 384x196x1" in line for line in made.warnings)
    assert any("nothing reads" in line for line in made.warnings)


def test_outputs_side_by_side_are_concatenated() -> None:
    rows = [
        Row("stem", 1, (3, 8, 8), 4, (1, 1)),
        Row("left", 2, (4, 8, 8), 6, (1, 1)),
        Row("right", 3, (4, 8, 8), 2, (3, 3), padding=(1, 1)),
        Row("join", 4, (8, 8, 8), 5, (1, 1)),
    ]
    made = connect(Path("net.csv"), rows, "net", "a net")
    reads = {entry.name: entry.inputs for entry in made.blueprint.entries}
    assert reads["join.concat"] == ("left", "right")
    assert made.warnings == ()


@pytest.mark.parametrize(
    ("text", "messages"),
    [
        ("8,8,x,3,3,4,0,1\n8,8,4,3,0,4,2,1\n", [
            "1:3: input depth: 'x' is not a whole number from 1 on", "2:5: kernel width: '0'", "2:7: pooling: '2' is not",
        ]),
        ("8,8,3,3,3\n", ["1:6: kernel depth: is missing"]),
        ("", ["holds no layers"]),
        ("8,8,3,3,3,4,0,1\n2,2,4,5,5,8,0,-1\n", ["2:8: stride: '-1'"]),
    ],
)  # fmt: skip
def test_faults_have_line_and_column(tmp_path: Path, text: str, messages: list[str]) -> None:
    path = tmp_path / "NetWork.csv"
    path.write_text(text)
    with pytest.raises(InputError) as error:
        read_neurosim(path)
    told = str(error.value)
    assert [message for message in messages if message not in told] == []


def test_a_kernel_larger_than_its_input(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"net.csv:3:1: big: a kernel of 9x9 does not fit the input 4x8x8"):
        scalesim(tmp_path, "n,a,b,c,d,e,f,g\none,8,8,1,1,3,4,1\nbig,8,8,9,9,4,2,1\n")


@pytest.mark.parametrize("read", [read_neurosim, read_scalesim])
def test_files_that_cannot_be_read(tmp_path: Path, read: object) -> None:
    path = tmp_path / "odd.csv"
    with pytest.raises(InputError, match="cannot be read: no such file"):
        read(path)  # type: ignore[operator]
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="is no CSV text"):
        read(path)  # type: ignore[operator]


SIZES = st.integers(1, 12)
ROWS = st.builds(
    lambda channels, height, width, out, kernel, stride: Row(
        "row", 1, (channels, height, width), out, (min(kernel, height), min(kernel, width)), stride
    ),
    SIZES, SIZES, SIZES, SIZES, st.integers(1, 3), st.integers(1, 2),
)  # fmt: skip


@settings(deadline=None)
@given(st.lists(ROWS, min_size=1, max_size=8))
def test_any_rows_make_a_graph_with_their_shapes(rows: list[Row]) -> None:
    """Whatever stands there: every row becomes one layer of its shape, in order."""
    found = layers(connect(Path("net.csv"), rows, "net", "a net"))
    assert len(found) == len(rows)
    for row, layer in zip(rows, found.values(), strict=True):
        padded = tuple(own + 2 * pad for own, pad in zip(layer.in_hw, layer.padding, strict=True))
        assert (layer.c_in, *padded) == row.shape
        assert (layer.c_out, layer.kernel, layer.windows) == (row.out, row.kernel, row.result(1)[1] * row.result(1)[2])
