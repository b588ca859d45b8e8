"""The command line: thin. Standard output is only ever the result; notes and progress go to standard error.

Exit codes: 0 done, 1 failed, 2 bad input, 3 a check did not hold, 130 interrupted.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from types import FrameType
from typing import Any

import click

from xbarsim.errors import XbarsimError, did_you_mean

FAILED, BAD_INPUT, INTERRUPTED = 1, 2, 130
"""Exit codes that no error class of ours carries."""


class Commands(click.Group):
    """Loads a command's module when it is asked for, so that ``--help`` answers at once."""

    NAMES = {
        "run": "latency, energy and endurance of a scenario",
        "compare": "adaption methods side by side, with the break-even number of inferences per switch",
        "sweep": "many chips with every method, one row each; resumable, in parts, on a cluster",
        "search": "the best chips of a space: objectives, constraints, a Pareto front",
        "serve": "requests for mixed tasks against one chip: latency, throughput, energy, lifetime",
        "report": "a page about a run, a comparison, a sweep or a search, with figures and tables for papers",
        "accuracy": "accuracy under the converters and cells of a chip, task by task",
        "learn": "train masks and weights of adaption methods for a chip; writes a bundle",
        "import": "networks and checkpoints of others: ONNX, NeuroSim, SCALE-Sim, Piggyback, PackNet, CPG, PEFT …",
        "show": "a chip, or how a network sits on it",
        "plan": "the dataflow graph of a scenario, as JSON",
        "time": "execute a dataflow graph from a file",
        "validate": "published figure | simulated | difference",
        "check": "check chip, device, network and bundle files",
        "list": "what there is: chips, devices, workloads, methods",
    }

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All commands, in the order of use."""
        return list(self.NAMES)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Import one command."""
        if name not in self.NAMES:
            return None
        from importlib import import_module

        command: click.Command = import_module(f"xbarsim.cli.{name}_").command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Say what was meant where a command is misspelt."""
        if args and args[0] not in self.NAMES and not args[0].startswith("-"):
            ctx.fail(f"no command {args[0]!r}; known: {', '.join(self.NAMES)}{did_you_mean(args[0], self.NAMES)}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(self.NAMES.items()))

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; click would answer a closed pipe with an exit code of its own."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise SeenEnough from None


class SeenEnough(Exception):
    """Whoever reads our output has closed it."""


class Interrupts:
    """Remembers an interrupt from the keyboard: libraries may turn it into an exception of their own."""

    def __init__(self) -> None:
        self.heard = False
        listening = threading.current_thread() is threading.main_thread()
        if listening and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, self._hear)

    def _hear(self, number: int, frame: FrameType | None) -> None:
        self.heard = True
        signal.default_int_handler(number, frame)

    def stop(self) -> None:
        """Let Python handle interrupts again."""
        if signal.getsignal(signal.SIGINT) == self._hear:
            signal.signal(signal.SIGINT, signal.default_int_handler)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="xbarsim")
def cli() -> None:
    """Simulate task switching on ReRAM crossbar accelerators, cycle by cycle."""


def main(args: list[str] | None = None) -> None:
    """Run a command and leave with its exit code."""
    interrupts = Interrupts()
    try:
        code = _run(args)
    except (KeyboardInterrupt, click.Abort):
        click.echo("interrupted", err=True)
        code = INTERRUPTED
    except Exception:
        if not interrupts.heard:
            raise
        click.echo("interrupted", err=True)
        code = INTERRUPTED
    finally:
        interrupts.stop()
    sys.exit(code)


def _run(args: list[str] | None) -> int:
    """Run a command, say in one message what went wrong, and return the exit code."""
    try:
        code = cli.main(args=args, prog_name="xbarsim", standalone_mode=False)
        sys.stdout.flush()
    except (SeenEnough, BrokenPipeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except click.ClickException as fault:
        fault.show(sys.stderr)
        return BAD_INPUT
    except XbarsimError as fault:
        click.echo(str(fault), err=True)
        return fault.exit_code
    except OSError as fault:
        click.echo(f"{fault.filename or 'failed'}: {(fault.strerror or str(fault)).lower()}", err=True)
        return BAD_INPUT if fault.filename else FAILED
    except MemoryError as fault:
        click.echo(f"not enough memory: {fault}", err=True)
        return FAILED
    return code if isinstance(code, int) else 0
