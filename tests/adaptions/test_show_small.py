"""`show` answers for every crossbar, also one that is narrower than a logical column."""

import pytest

import xbarsim as xs


@pytest.mark.parametrize(("rows", "cols"), [(1, 1), (5, 3), (72, 2)])
def test_show_never_refuses_narrow_crossbars(rows: int, cols: int) -> None:
    chip = xs.load_chip("xbm_72", {"crossbar.rows": rows, "crossbar.cols": cols, "mapping.mask_fit": "resample"})
    result = xs.show(chip, xs.load_bundle("resnet20"))
    layers = [layer for layer in xs.load_bundle("resnet20").layers.values() if not layer.head]
    assert result["logical_columns"] == sum(-(-layer.rows // rows) * layer.c_out for layer in layers)
    assert result["mask_bits"]["xbm"] == result["logical_columns"]
