"""The fast arrays equal the naive ones: bit for bit, for chips, encodings and shapes of every kind."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from analog.cases import Case, layers
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numba import config

COMPILED = not getattr(config, "DISABLE_JIT", False)
EXAMPLES = 600 if COMPILED else 60
CELL_EXAMPLES = 150 if COMPILED else 20
RELATIVE = 1e-6

relaxed = settings(
    max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


@relaxed
@given(layers())
def test_whole_levels_equal_the_naive_twin(case: Case) -> None:
    arrays = case.arrays()
    found, expected = arrays.multiply(case.inputs), case.naive(arrays)
    if np.issubdtype(found.dtype, np.integer):
        assert found.tolist() == expected
    elif arrays.integer:  # guard bits: exact, in double precision
        assert [[Fraction(value) for value in row] for row in found.tolist()] == expected
    else:
        np.testing.assert_allclose(found, np.array(expected, float), rtol=RELATIVE, atol=1e-9)


@relaxed
@given(layers())
def test_the_shortcut_is_taken_only_where_it_changes_nothing(case: Case) -> None:
    slow, quick = case.arrays(), case.arrays(shortcut=True)
    np.testing.assert_array_equal(quick.multiply(case.inputs), slow.multiply(case.inputs))
    if quick.lossless and case.columns_on is None and case.column_shift is None:
        np.testing.assert_array_equal(quick.multiply(case.inputs), case.inputs @ case.weights)


imperfections = st.lists(
    st.sampled_from([
        "device.variation.proportional=0.1", "device.read_noise.proportional=0.05", "device.read_noise.sigma_us=0.1",
        "device.stuck_at.lrs=0.1", "device.stuck_at.hrs=0.2", "device.nonlinearity=1.5", "adc.errors.gain_sigma=0.02",
        "adc.errors.offset_sigma_levels=0.7", "device.drift.exponent=0.05", "device.drift.spread_start_us=0.1",
        "device.drift.exponent_sigma=0.02", "crossbar.off_current=digital", "crossbar.off_current=kept",
    ]),
    min_size=1, max_size=4, unique_by=lambda key: key.partition("=")[0],
).map(lambda keys: [*keys, "device.drift.time_s=100"])  # fmt: skip


@settings(relaxed, max_examples=CELL_EXAMPLES)
@given(layers(20, imperfections))
def test_cells_equal_the_naive_twin(case: Case) -> None:
    arrays = case.arrays()
    found, expected = arrays.multiply(case.inputs), np.array(case.naive(arrays), float)
    np.testing.assert_allclose(found, expected, rtol=RELATIVE, atol=1e-6)


@settings(relaxed, max_examples=EXAMPLES // 4)
@given(layers())
def test_ideal_cells_give_the_same_through_conductances(case: Case) -> None:
    """Wires without resistance, seen by cells with conductances of their own; converters have a code per level."""
    plain = replace(case, keys=tuple(key for key in case.keys if not key.startswith(("adc.errors", "adc.range"))))
    wired = plain.arrays(circuit=lambda cells, _: cells)
    np.testing.assert_array_equal(wired.multiply(case.inputs), plain.arrays().multiply(case.inputs))


@pytest.mark.skipif(not COMPILED, reason="this suite runs without compilation already")
def test_agrees_without_compilation() -> None:
    program = (
        "import numpy as np\n"
        "from numba import config\n"
        "assert config.DISABLE_JIT\n"
        "from hypothesis import settings\n"
        "from analog import test_equality as tests\n"
        "assert tests.EXAMPLES == 60\n"
        "tests.test_whole_levels_equal_the_naive_twin()\n"
        "tests.test_cells_equal_the_naive_twin()\n"
    )
    environment = dict(os.environ, NUMBA_DISABLE_JIT="1", PYTHONPATH=os.pathsep.join(sys.path))
    subprocess.run([sys.executable, "-W", "error", "-c", program], check=True, env=environment, timeout=600)
