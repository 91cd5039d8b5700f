"""The Lambda Runtime API over HTTP: the channel of every runtime that brings its own client."""

from __future__ import annotations

from collections.abc import Mapping

from worker.environments.channel import ChannelListener
from worker.environments.interface import Work
from worker.runtime_api.listener import RuntimeApiListener
from worker.runtime_api.session import Session


class HttpChannel:
    """One environment's Runtime API on its own loopback port."""

    def __init__(self, listener: ChannelListener) -> None:
        self._session = Session(listener)
        self._api = RuntimeApiListener(self._session)

    @property
    def function_end(self) -> None:
        """Nothing is inherited: the runtime connects."""

    async def open(self) -> Mapping[str, str]:
        return {"AWS_LAMBDA_RUNTIME_API": await self._api.open()}

    def process_started(self) -> None:
        """Nothing to hand over."""

    def send(self, work: Work) -> None:
        self._session.offer(work)

    def withdraw(self) -> bool:
        return self._session.withdraw()

    def drain(self) -> None:
        """A runtime that exits after an answer has waited for our 202, so nothing is under way."""

    def close(self) -> None:
        self._session.close()
        self._api.close()
