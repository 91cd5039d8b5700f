"""How an environment talks to the runtime in its process, whatever the protocol."""

from __future__ import annotations

import socket
from typing import Protocol

from worker.environments.interface import HandlerFailed, Succeeded, Work
from worker.runtime_api.session import Session


class ChannelListener(Protocol):
    """What a runtime can tell its environment. All are called on the loop."""

    def runtime_ready(self, report: bytes = b"") -> None:
        """The runtime asks for work for the first time; `report` is what it has to tell of init."""

    def runtime_init_failed(self, error_type: str, document: bytes) -> None:
        """The runtime reports that it cannot serve."""

    def runtime_answered(self, outcome: Succeeded | HandlerFailed, peak_memory_kb: int, run_us: int) -> None:
        """The answer to the run under way; memory and microseconds are 0 where the runtime does not say."""

    def runtime_violated(self, reason: str) -> None:
        """The runtime broke the protocol; no word of it can be trusted any more."""

    def runtime_hung_up(self) -> None:
        """The runtime closed a channel that should last as long as its process."""


class RuntimeChannel(Protocol):
    """One environment's line to its runtime."""

    @property
    def function_end(self) -> socket.socket | None:
        """What the process inherits, if anything."""

    @property
    def session(self) -> Session:
        """What the runtime may say over HTTP; closed where it has another way."""

    def open(self) -> None:
        """Be ready to hear the runtime."""

    def process_started(self) -> None:
        """The process has its own copy of `function_end`."""

    def send(self, work: Work) -> None:
        """Hand over one run; never blocks. A dead process is no error here."""

    def withdraw(self) -> bool:
        """The process is dead: True if the runtime surely never got the work that was sent last."""

    def drain(self) -> None:
        """Report what the runtime has sent so far, before its end is dealt with."""

    def close(self) -> None:
        """Hang up. Idempotent; nothing is reported afterwards."""
