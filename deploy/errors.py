"""What can go wrong while the system is put together or asked something from the command line."""

from __future__ import annotations


class DeployError(Exception):
    """Says in one line what was wrong, with what value, and what to do. `exit_code` is the command's."""

    exit_code = 1


class NotRunning(DeployError):
    """No system could be found, or the one that was found does not answer."""
