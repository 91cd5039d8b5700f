"""The registry's contract, held by `tests/contract/test_registry.py` for every implementation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from broker.registry.model import FunctionRecord

Change = Callable[[FunctionRecord], FunctionRecord]
"""A pure step from one aggregate to the next; may raise, then nothing is stored; may be called again."""


class Totals(msgspec.Struct, frozen=True):
    """What all functions together come to, for account settings and limits."""

    functions: int
    code_bytes: int
    """Zipped size of the code of all versions."""


class Registry(Protocol):
    """Functions by name, shared by all processes, cached in each.

    Every stored change gets a `generation` higher than any before, of this or another function, also
    after a delete. It reaches the caches of other processes within moments; a process sees its own
    changes at once. All waiting calls raise BrokerUnavailable while the server is away, and work again
    by themselves when it is back.
    """

    async def start(self) -> None:
        """Connect. Raises BrokerUnavailable."""

    async def close(self) -> None:
        """Disconnect. Idempotent."""

    def cached(self, name: str) -> FunctionRecord | None:
        """The cached aggregate, without waiting; None where `get` must be asked."""

    async def get(self, name: str) -> FunctionRecord:
        """The aggregate. Raises FunctionNotFound."""

    async def at_least(self, name: str, generation: int) -> FunctionRecord:
        """The aggregate, no older than `generation` where one exists. Raises FunctionNotFound."""

    async def create(self, record: FunctionRecord) -> FunctionRecord:
        """Store a new function; the record's own `generation` is replaced. Raises FunctionExists."""

    async def update(self, name: str, change: Change) -> FunctionRecord:
        """Compare-and-set loop: apply `change` to the current aggregate and store it.

        Raises FunctionNotFound and whatever `change` raises.
        """

    async def delete(self, name: str) -> None:
        """Forget a function. Raises FunctionNotFound."""

    async def names(self, after: str = "", limit: int = 50) -> Sequence[str]:
        """Names in order, those after `after`."""

    async def records(self, after: str = "", limit: int = 50) -> Sequence[FunctionRecord]:
        """Aggregates in the order of their names; fewer than `limit` only at the end."""

    async def provisioned_names(self) -> Sequence[str]:
        """Names of the functions that have provisioned concurrency, in order."""

    async def totals(self) -> Totals:
        """Number of functions and size of their code."""

    async def installation(self) -> str:
        """What tells this installation from every other: random, made once, kept with the functions."""

    async def name_url(self, url_id: str, function_name: str) -> None:
        """Make the id of a function URL lead to a function; before the function's record has it."""

    async def function_of_url(self, url_id: str) -> str | None:
        """The name of the function that an id leads to; its record says whether it still has that URL."""

    async def forget_url(self, url_id: str) -> None:
        """The id leads nowhere any more; unknown ids are fine."""
