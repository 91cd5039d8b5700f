"""The Lambda Runtime API over HTTP: the channel of every runtime that brings its own client."""

from __future__ import annotations

from worker.environments.channel import ChannelListener
from worker.environments.interface import Work
from worker.runtime_api.session import Session


class HttpChannel:
    """One environment's runtime as a client of its Runtime API."""

    def __init__(self, listener: ChannelListener) -> None:
        self.session = Session(listener)

    @property
    def function_end(self) -> None:
        """Nothing is inherited: the runtime connects."""

    def open(self) -> None:
        """Nothing to do: the environment listens."""

    def process_started(self) -> None:
        """Nothing was passed on."""

    def send(self, work: Work) -> None:
        self.session.offer(work)

    def withdraw(self) -> bool:
        return self.session.withdraw()

    def drain(self) -> None:
        """A runtime that exits after an answer has waited for our 202, so nothing is under way."""

    def close(self) -> None:
        self.session.close()
