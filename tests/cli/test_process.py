"""The program as a process: what it imports, exit codes, pipes, interrupts, the same bytes twice."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from xbarsim.cli import Commands
from xbarsim.engine import compiled

HEAVY = ("numpy", "numba", "pandas", "pydantic", "torch", "scipy", "simpy", "yaml", "rich", "safetensors", "matplotlib")
PROGRAM = (sys.executable, "-m", "xbarsim")


def run(*args: str, cwd: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*PROGRAM, *args], capture_output=True, text=True, cwd=cwd, env={**os.environ, **environment}, check=False
    )


def test_help_imports_nothing_heavy() -> None:
    """Nor does the help of a command: imports are what makes a command slow to answer."""
    script = f"""
import sys
from xbarsim.cli import main
for args in (["--help"], ["--version"], *([name, "-h"] for name in {list(Commands.NAMES)})):
    try:
        main(args)
    except SystemExit as left:
        assert not left.code
    print("IMPORTED", args, *(name for name in {HEAVY} if name in sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if line.startswith("IMPORTED")]
    assert len(lines) == 2 + len(Commands.NAMES)
    assert all(line.endswith("]") for line in lines), lines


def test_every_command_says_what_it_does() -> None:
    listed = run("--help").stdout
    for name, what in Commands.NAMES.items():
        assert f"  {name} " in listed
        assert " ".join(what.split()[:3]) in " ".join(listed.split())


def test_both_ways_to_start_it_are_the_same() -> None:
    done = subprocess.run([sys.executable, "-m", "xbarsim.cli", "list"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, run("list").stdout)


def test_the_same_command_gives_the_same_bytes() -> None:
    """Whatever the order of sets and the number of jobs."""
    texts = []
    for seed, jobs in (("1", "1"), ("2", "4")):
        done = run(
            "run", "xbm_72", "resnet20", "--scenario", "task1:1,task2:2", "--seed", "7", "-j", jobs, "--format", "json",
            PYTHONHASHSEED=seed,
        )  # fmt: skip
        lines = done.stdout.splitlines()
        assert done.returncode == 0, done.stderr
        texts.append([line for line in lines if '_seconds": ' not in line])
        assert len(lines) - len(texts[-1]) == 2
    assert texts[0] == texts[1]


@pytest.mark.parametrize(
    ("args", "code"),
    [(("list",), 0), (("run", "xbm72", "digits"), 2), (("lst",), 2), ((), 2), (("run", "-h"), 0), (("--version",), 0)],
)
def test_exit_codes(args: tuple[str, ...], code: int) -> None:
    done = run(*args)
    assert done.returncode == code
    assert "Traceback" not in done.stderr


def test_a_check_that_does_not_hold_leaves_with_3() -> None:
    script = """
from xbarsim.cli import main
from xbarsim.studies.targets import Target
Target.run = lambda target, *overrides: 1.0
main(["validate", "isaac", "--format", "json"])
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert done.stderr.startswith("does not hold: isaac-latency")
    assert json.loads(done.stdout)["rows"][0]["holds"] is False


def test_who_reads_a_part_of_the_output_is_not_scolded() -> None:
    args = [*PROGRAM, "plan", "xbm_72", "resnet20"]
    with subprocess.Popen(args, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        assert program.stderr is not None
        assert program.stdout.read(20).startswith('{"schema"')
        program.stdout.close()
        errors = program.stderr.read()
    assert (program.returncode, errors) == (0, "")


def interrupted(args: tuple[str, ...], cwd: Path, after_s: float) -> tuple[int, float, str, str]:
    """Interrupt a program; return its exit code, the seconds it took to end and what it said."""
    script = "import sys; from xbarsim.cli import main; print('ready', file=sys.stderr, flush=True); main(sys.argv[1:])"
    with subprocess.Popen(
        [sys.executable, "-c", script, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=cwd,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as program:  # fmt: skip
        assert program.stderr is not None
        assert program.stderr.readline() == "ready\n"
        time.sleep(after_s)
        begun = time.monotonic()
        program.send_signal(signal.SIGINT)
        out, err = program.communicate(timeout=60)
    return program.returncode, time.monotonic() - begun, out, err


LONG = "digits:100000,rotated:100000," * 50 + "digits"


@pytest.mark.skipif(os.name != "posix", reason="interrupts are signals")
@pytest.mark.parametrize(
    ("engine", "after_s"),
    [
        ("reference", 0.3),
        ("reference", 3.0),
        pytest.param(
            "compiled", 5.0,
            marks=pytest.mark.skipif(compiled.SLICE > 1 << 23, reason="the kernel listens once in some seconds only"),
        ),
    ],
)  # fmt: skip
def test_an_interrupted_run_leaves_promptly_and_leaves_nothing(tmp_path: Path, engine: str, after_s: float) -> None:
    args = ("run", "xbm_72", "digits", "--engine", engine, "--scenario", LONG, "--out", "results")
    code, took, out, err = interrupted(args, tmp_path, after_s)
    assert (code, out) == (130, "")
    assert err.strip() == "interrupted"
    assert took < 2
    assert list(tmp_path.iterdir()) == []


def test_an_interrupt_that_a_library_swallowed_still_counts() -> None:
    """Some libraries answer an interrupt with an exception of their own."""
    script = """
import os, signal
import xbarsim.chip
from xbarsim.cli import main

def load(*args):
    try:
        os.kill(os.getpid(), signal.SIGINT)
        while True:
            pass
    except KeyboardInterrupt:
        raise ValueError("building a validator failed")

xbarsim.chip.load_chip = load
main(["run", "xbm_72", "digits"])
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (130, "interrupted\n")


def test_text_goes_through_a_pipe_that_is_not_utf8() -> None:
    done = run("run", "isaac", "one_window", PYTHONIOENCODING="ascii")
    assert done.returncode == 0, done.stderr
    assert "2.200 us" in done.stdout
    assert run("run", "--help", PYTHONIOENCODING="ascii").returncode == 0
