"""The `lightswitch` command: finds the subcommand, loads only its module, and says errors in one line."""

from __future__ import annotations

import os
import sys
from typing import NoReturn

import click

from deploy.errors import DeployError
from deploy.lazy_group import LazyGroup

COMMANDS = {
    "up": ("deploy.commands.up", "Run the whole system on this machine, in the foreground."),
    "env": ("deploy.commands.env", "Print the variables that point AWS tools at the system."),
    "deploy": ("deploy.commands.deploy", "Zip a folder and create or update a function from it."),
    "invoke": ("deploy.commands.invoke", "Invoke a function and print what it returns."),
    "status": ("deploy.commands.status", "Show how an asynchronous invocation ended."),
    "logs": ("deploy.commands.logs", "Print a function's log."),
    "list": ("deploy.commands.functions", "List the functions."),
    "delete": ("deploy.commands.delete", "Delete a function."),
    "trigger": ("deploy.commands.trigger.group", "Add, list, show and remove what calls functions."),
    "runtimes": ("deploy.commands.runtimes.group", "List and add the runtimes of this machine."),
    "workers": ("deploy.commands.workers", "List the workers of the fleet."),
    "metrics": ("deploy.commands.metrics", "List what is counted for each function."),
    "doctor": ("deploy.commands.doctor", "Check this machine and the running system."),
    "gateway": ("deploy.commands.gateway", "Run one gateway process, in the foreground."),
    "worker": ("deploy.commands.worker", "Run one worker process, in the foreground."),
    "triggers": ("deploy.commands.triggers", "Run one process that serves triggers, in the foreground."),
    "version": ("deploy.commands.version", "Print the version."),
}
HIDDEN = {"example": "deploy.commands.example"}

INTERRUPTED = 130


class _Commands(LazyGroup):
    commands_by_name = COMMANDS
    hidden_commands = HIDDEN


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
    invoke_without_command=True,
)
@click.version_option(package_name="lightswitch", message="%(prog)s %(version)s")
@click.pass_context
def lightswitch(context: click.Context) -> None:
    """AWS Lambda that you run yourself.

    Start with `lightswitch up`; then, in another terminal, `lightswitch deploy` and `lightswitch invoke`,
    or point any AWS tool at it: eval "$(lightswitch env)".
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


def main() -> NoReturn:
    """The console script. Exit status: 0, the command's own, 1 for errors, 2 for wrong usage, 130 for ^C."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """One command, its errors told on stderr in one line; the exit status."""
    try:
        status = lightswitch.main(arguments, prog_name="lightswitch", standalone_mode=False)
        return status if isinstance(status, int) else 0
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except BrokenPipeError:  # whoever read our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except click.UsageError as error:
        path = error.ctx.command_path if error.ctx else "lightswitch"
        return _complain(f"{error.format_message()} See: {path} --help", error.exit_code)
    except click.ClickException as error:
        return _complain(error.format_message(), error.exit_code)
    except DeployError as error:
        return _complain(str(error), error.exit_code)
    except Exception as error:
        if "LIGHTSWITCH_DEBUG" in os.environ:
            raise
        return _complain(_in_one_line(error), 1)


def _complain(message: str, status: int) -> int:
    print(f"lightswitch: {message}", file=sys.stderr)
    return status


def _in_one_line(error: Exception) -> str:
    """An error that no command expected; AWS's own come through as the gateway words them."""
    response = getattr(error, "response", None)
    if isinstance(response, dict) and "Error" in response:
        return f"{response['Error'].get('Code')}: {response['Error'].get('Message')}"
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


if __name__ == "__main__":
    main()
