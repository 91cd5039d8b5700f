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


class FunctionNotReady(BrokerError):
    """The function exists and cannot be called now: it is being created, or its creation failed."""

    def __init__(self, function_name: str, state: str) -> None:
        super().__init__(f"function {function_name} is in the state {state}")
        self.function_name = function_name
        self.state = state


class RecursiveLoop(BrokerError):
    """The call would go on with a recursive loop of the function (`broker.lineage`); nothing was enqueued."""

    def __init__(self, function_name: str) -> None:
        super().__init__(f"function {function_name} is called in a recursive loop, which was stopped")
        self.function_name = function_name


class CallLost(BrokerError):
    """No reply came in time; the function may have run."""


class CallFailed(BrokerError):
    """The platform could not run the function; nothing is known of an effect."""


class TriggerNotFound(BrokerError):
    """There is no trigger of that id."""

    def __init__(self, trigger_id: str) -> None:
        super().__init__(f"there is no trigger {trigger_id}")
        self.trigger_id = trigger_id


class TriggerExists(BrokerError):
    """There is a trigger of that id already."""

    def __init__(self, trigger_id: str) -> None:
        super().__init__(f"there is a trigger {trigger_id} already")
        self.trigger_id = trigger_id


class DestinationUnavailable(BrokerError):
    """A queue, topic, bus or bucket cannot be reached now; trying again may help."""


class DestinationRefused(BrokerError):
    """A queue, topic, bus or bucket does not take what it was sent, nor would it later."""
