"""Every method on ResNet-50 with five synthetic tasks: in a minute and four gibibytes, on one core."""

from __future__ import annotations

import subprocess
import sys

import pytest

SCRIPT = """
import resource, time
import xbarsim as xs
from xbarsim.network.synthetic import METHODS
chip, network = xs.load_chip("xbm_72"), xs.load_bundle("resnet50")
xs.compare(chip, xs.load_bundle("resnet20"), list(METHODS))  # compiles
begun = time.process_time()
frame = xs.compare(chip, network, list(METHODS))
print(len(frame), time.process_time() - begun, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)
"""


@pytest.mark.slow
def test_all_methods_compare_in_a_minute_and_four_gibibytes() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    rows, seconds, gibibytes = map(float, done.stdout.split())
    assert rows == 14
    assert seconds < 60
    assert gibibytes < 4
