"""Errors of the broker layer. Drivers' errors are translated into these at the seam."""

from __future__ import annotations


class BrokerError(Exception):
    """Base of every error that the broker package raises on purpose."""


class BrokerUnavailable(BrokerError):
    """The broker's server cannot be reached; nothing is known of the command that was under way."""


class LeaseLost(BrokerError):
    """This consumer's lease lapsed and its messages went to others; the process must start afresh."""


class Throttled(BrokerError):
    """A sync invocation found the function's reserved concurrency used up; nothing was enqueued."""

    def __init__(self, function_name: str, limit: int) -> None:
        super().__init__(f"function {function_name} already runs {limit} times, its reserved concurrency")
        self.function_name = function_name
        self.limit = limit


class FunctionNotFound(BrokerError):
    """The registry has no function of that name."""

    def __init__(self, function_name: str) -> None:
        super().__init__(f"function {function_name} does not exist")
        self.function_name = function_name


class FunctionExists(BrokerError):
    """A function of that name exists already."""


class Conflict(BrokerError):
    """The RevisionId that the caller gave is not the current one."""


class CodeNotFound(BrokerError):
    """The code store has no package of that digest."""


class CodeCorrupt(BrokerError):
    """What the code store holds under a digest does not have that digest."""


class CodeStoreUnavailable(BrokerError):
    """The code store cannot be reached or refuses us; trying again may help."""
