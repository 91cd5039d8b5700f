"""Callers in threads, and what each of them got."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from deploy.credentials import Credentials
from deploy.endpoint import Endpoint
from deploy.errors import DeployError
from tests.faults.waiting import eventually
from tests.live_system import LiveSystem

FUNCTION = "recorder"
Event = dict[str, Any]
Outcome = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Answer:
    """What one caller got after `seconds`: the function's result, or an error's code and text.

    `request_id` is empty where the answer named none.
    """

    seconds: float
    request_id: str
    result: Any = None
    error: str = ""
    """`TooManyRequestsException`, `ServiceException`, ..., or the name of a broken connection's error."""
    text: str = ""

    @property
    def succeeded(self) -> bool:
        return not self.error


class Callers:
    """Calls the recorder function of a running system; one thread per waiting caller."""

    def __init__(self, system: LiveSystem) -> None:
        self._system = system
        self._pool = ThreadPoolExecutor(64)
        keys = Credentials(system.endpoint.access_key, system.endpoint.secret_key)
        self._status = Endpoint(system.url, system.endpoint.region, keys, timeout_seconds=5)

    def call(self, event: Event, *, function: str = FUNCTION) -> Future[Answer]:
        """Invoke and wait for the result, in the background."""
        return self._pool.submit(self._invoke, function, event, "RequestResponse")

    def submit(self, event: Event, *, function: str = FUNCTION) -> Answer:
        """Invoke asynchronously; succeeds when the event was accepted."""
        return self._invoke(function, event, "Event")

    def accept(self, events: Iterable[Event], *, function: str = FUNCTION) -> list[str]:
        """Invoke asynchronously, all of them accepted; the request ids in order."""
        answers = list(self._pool.map(lambda event: self.submit(event, function=function), events))
        refused = [answer for answer in answers if not answer.succeeded]
        assert not refused, f"{len(refused)} events were refused: {refused[0]}"
        return [answer.request_id for answer in answers]

    def _invoke(self, function: str, event: Event, kind: str) -> Answer:
        started = time.monotonic()
        try:
            answer = self._system.client.invoke(
                FunctionName=function, InvocationType=kind, Payload=json.dumps(event)
            )
            result = json.loads(answer["Payload"].read() or b"null")
        except ClientError as error:
            said = error.response
            request_id = said["ResponseMetadata"].get("RequestId", "")
            code, text = said["Error"]["Code"], said["Error"]["Message"]
            return Answer(time.monotonic() - started, request_id, error=code, text=text)
        except BotoCoreError as error:
            return Answer(time.monotonic() - started, "", error=type(error).__name__, text=str(error))
        return Answer(
            time.monotonic() - started,
            answer["ResponseMetadata"]["RequestId"],
            result,
            error=answer.get("FunctionError", ""),
        )

    def outcome(self, request_id: str) -> Outcome | None:
        """Its record, pending or ended; None while nobody answers."""
        try:
            record: Outcome = self._status.get(f"/invocations/{request_id}")
        except DeployError:
            return None
        return record

    def outcomes(self, request_ids: Iterable[str], within_seconds: float = 30.0) -> list[Outcome]:
        """The terminal state of each; fails where one has none in time."""
        ended: dict[str, Outcome] = {}
        waiting = list(request_ids)

        def all_ended() -> bool:
            for record in self._pool.map(self.outcome, waiting[:]):
                if record is not None and record["status"] != "pending":
                    ended[record["request_id"]] = record
            waiting[:] = [request_id for request_id in waiting if request_id not in ended]
            return not waiting

        eventually("a terminal state of every accepted invocation", all_ended, within_seconds)
        return list(ended.values())

    def get(self, path: str) -> Any:
        """A signed GET below /lightswitch/v1."""
        return self._status.get(path)

    def close(self) -> None:
        """Every caller has its answer when this returns."""
        self._pool.shutdown()
