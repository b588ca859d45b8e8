"""The command line: thin. Standard output is only ever the result; notes and progress go to standard error.

Exit codes: 0 done, 1 failed, 2 bad input, 3 a check did not hold, 130 interrupted.
"""

from __future__ import annotations

import os
import sys

import click

from xbarsim.errors import XbarsimError

INTERRUPTED = 130


class Commands(click.Group):
    """Loads a command's module when it is asked for, so that ``--help`` answers at once."""

    NAMES = {
        "run": "latency, energy and endurance of a scenario",
        "compare": "adaption methods side by side, with the break-even number of inferences per switch",
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
        from xbarsim.errors import did_you_mean

        if args and args[0] not in self.NAMES and not args[0].startswith("-"):
            ctx.fail(f"no command {args[0]!r}; known: {', '.join(self.NAMES)}{did_you_mean(args[0], self.NAMES)}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(self.NAMES.items()))


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="xbarsim")
def cli() -> None:
    """Simulate task switching on ReRAM crossbar accelerators, cycle by cycle."""


def main(args: list[str] | None = None) -> None:
    """Run a command and leave with its exit code."""
    try:
        code = cli.main(args=args, prog_name="xbarsim", standalone_mode=False)
        sys.stdout.flush()
    except click.exceptions.Exit as stop:
        code = stop.exit_code
    except click.ClickException as fault:
        fault.show(sys.stderr)
        code = 2
    except XbarsimError as fault:
        click.echo(f"{fault}", err=True)
        code = fault.exit_code
    except BrokenPipeError:  # whoever read our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    except (KeyboardInterrupt, click.Abort):
        click.echo("interrupted; nothing was written", err=True)
        sys.stderr.flush()
        os._exit(INTERRUPTED)  # a kernel may still run in its thread
    sys.exit(code if isinstance(code, int) else 0)
