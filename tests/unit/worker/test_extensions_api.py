"""The Extensions API over real connections: who may say what, when, and how AWS refuses the rest."""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field

import pytest

from tests.runtime_api_calls import Answer, Caller, Heard, HeardOfExtensions, connected, environment_spec, get
from tests.waiting import until
from worker.runtime_api import routes
from worker.runtime_api.extension_session import ExtensionSession
from worker.runtime_api.listener import RuntimeApiListener
from worker.runtime_api.session import Session

PREFIX = "/2020-01-01/extension"
NEXT = f"{PREFIX}/event/next"
ARN = "arn:aws:lambda:eu-central-1:123456789012:function:tried"


@dataclass
class Api:
    """An open Extensions API."""

    session: ExtensionSession
    heard: HeardOfExtensions
    address: str
    callers: list[Caller] = field(default_factory=list)

    async def connect(self) -> Caller:
        self.callers.append(await connected(self.address))
        return self.callers[-1]

    async def register(self, name: str, events: list[str] | None = None, headers: str = "") -> Answer:
        body = json.dumps({"events": ["INVOKE"] if events is None else events}).encode()
        naming = f"Lambda-Extension-Name: {name}\r\n{headers}"
        return await (await self.connect()).post(f"{PREFIX}/register", body, naming)

    async def waiting(self, name: str, events: list[str] | None = None) -> Caller:
        """A registered extension that waits for its next event."""
        answer = await self.register(name, events)
        caller = await self.connect()
        caller.say(get(NEXT, naming(answer)))
        identifier = answer.headers["lambda-extension-identifier"]
        await until(lambda: self.session.find(identifier).deliver is not None)
        return caller

    def invoke(self, request_id: str = "id-1") -> None:
        self.session.invoke(request_id, 1_795_000_000_000, ARN, "Root=1-2-3")


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    heard = HeardOfExtensions()
    session = ExtensionSession(heard)
    served = routes.Api(Session(Heard()), session, environment_spec(), lambda name, subscription: None)
    listener = RuntimeApiListener(served)
    api = Api(session, heard, listener.open()["AWS_LAMBDA_RUNTIME_API"])
    listener.process_started()
    yield api
    for caller in api.callers:
        caller.writer.close()
        with suppress(ConnectionError):
            await caller.writer.wait_closed()
    listener.close()


def naming(registration: Answer) -> str:
    """The header by which a registered extension names itself."""
    return f"Lambda-Extension-Identifier: {registration.headers['lambda-extension-identifier']}\r\n"


async def test_registration_tells_the_function_and_gives_an_identifier(api: Api) -> None:
    answer = await api.register("inside", headers="Lambda-Extension-Accept-Feature: other, accountId\r\n")

    assert answer.status == 200
    uuid.UUID(answer.headers["lambda-extension-identifier"])
    assert json.loads(answer.body) == {
        "functionName": "tried",
        "functionVersion": "7",
        "handler": "app.handler",
        "accountId": "123456789012",
    }
    assert "accountId" not in json.loads((await api.register("other")).body)


async def test_the_runtime_may_start_when_all_launched_extensions_have_registered(api: Api) -> None:
    api.session.launch(["one", "two"])

    await api.register("one", ["SHUTDOWN"])
    assert api.heard.events == []
    await api.register("two", ["INVOKE", "SHUTDOWN"])

    assert api.heard.events == [("registered",)]


async def test_init_is_over_when_all_have_asked_for_the_next_event(api: Api) -> None:
    api.session.launch(["one"])

    await api.waiting("inside")
    early = api.session.quiet
    await api.waiting("one")

    assert (early, api.session.quiet) == (False, True)
    assert api.heard.events == [("registered",), ("quiet",)]


async def test_a_run_is_told_to_those_who_want_it_and_lasts_until_they_are_back(api: Api) -> None:
    api.session.launch(["one", "two"])
    one, two = await api.waiting("one", ["INVOKE"]), await api.waiting("two", ["SHUTDOWN"])
    api.heard.events.clear()

    api.invoke()
    event = await one.hear()

    assert json.loads(event.body) == {
        "eventType": "INVOKE",
        "deadlineMs": 1_795_000_000_000,
        "requestId": "id-1",
        "invokedFunctionArn": ARN,
        "tracing": {"type": "X-Amzn-Trace-Id", "value": "Root=1-2-3"},
    }
    uuid.UUID(event.headers["lambda-extension-event-identifier"])
    assert not api.session.quiet
    identifier = next(each.identifier for each in api.session.extensions if each.name == "one")
    one.say(get(NEXT, f"Lambda-Extension-Identifier: {identifier}\r\n"))
    await until(lambda: api.heard.events == [("quiet",)])
    api.session.shut_down("spindown", 42)
    assert json.loads((await two.hear()).body) == {
        "eventType": "SHUTDOWN",
        "shutdownReason": "spindown",
        "deadlineMs": 42,
    }


async def test_an_event_waits_for_an_extension_that_lost_its_connection(api: Api) -> None:
    caller = await api.waiting("inside")
    (extension,) = api.session.extensions
    caller.writer.close()
    await until(lambda: extension.deliver is None)

    api.invoke()
    again = await (await api.connect()).get(NEXT, f"Lambda-Extension-Identifier: {extension.identifier}\r\n")

    assert json.loads(again.body)["requestId"] == "id-1"
    assert not api.session.quiet


@pytest.mark.parametrize(
    ("name", "events", "error_type"),
    [
        ("", [], "Extension.InvalidExtensionName"),
        ("inside", ["SHUTDOWN"], "Extension.InvalidEventType"),
        ("launched", ["RESTART"], "Extension.InvalidEventType"),
        ("already", [], "Extension.InvalidExtensionState"),
        ("taken", [], "Extension.InvalidExtensionState"),
    ],
)
async def test_registrations_that_are_refused(
    api: Api, name: str, events: list[str], error_type: str
) -> None:
    api.session.launch(["launched", "already"])
    await api.register("already")
    await api.register("taken")

    answer = await api.register(name, events)

    assert (answer.status, answer.error_type) == (403, error_type)


async def test_after_init_nobody_may_join_and_ten_are_enough(api: Api) -> None:
    for number in range(10):
        assert (await api.register(f"number{number}")).status == 200
    assert (await api.register("eleventh")).error_type == "Extension.TooManyExtensions"

    api.session.close_registration()

    assert (await api.register("late")).error_type == "Extension.RegistrationClosed"


@pytest.mark.parametrize("body", [b"", b"[]", b'{"events": 1}', b'{"configurationKeys": ["a"]}'])
async def test_a_registration_that_is_no_registration_is_refused(api: Api, body: bytes) -> None:
    caller = await api.connect()

    answer = await caller.post(f"{PREFIX}/register", body, "Lambda-Extension-Name: inside\r\n")

    assert (answer.status, answer.error_type) == (403, "InvalidRequestFormat")
    assert not api.session.any


@pytest.mark.parametrize(
    ("header", "error_type"),
    [
        ("", "Extension.MissingExtensionIdentifier"),
        ("Lambda-Extension-Identifier: me\r\n", "Extension.InvalidExtensionIdentifier"),
        (f"Lambda-Extension-Identifier: {uuid.UUID(int=7)}\r\n", "Extension.UnknownExtensionIdentifier"),
    ],
)
async def test_callers_must_name_themselves(api: Api, header: str, error_type: str) -> None:
    caller = await api.connect()

    answers = [
        await caller.get(NEXT, header),
        await caller.post(f"{PREFIX}/init/error", b"{}", header),
        await caller.post(f"{PREFIX}/exit/error", b"{}", header),
    ]

    assert [(answer.status, answer.error_type) for answer in answers] == [(403, error_type)] * 3


async def test_who_waits_already_may_not_ask_again(api: Api) -> None:
    await api.waiting("inside")
    (extension,) = api.session.extensions

    answer = await (await api.connect()).get(NEXT, f"Lambda-Extension-Identifier: {extension.identifier}\r\n")

    assert (answer.status, answer.error_type) == (403, "Extension.InvalidExtensionState")


async def test_errors_are_taken_with_their_type_when_they_fit(api: Api) -> None:
    identity = naming(await api.register("inside"))
    caller = await api.connect()
    typed = f"{identity}Lambda-Extension-Function-Error-Type: Extension.Sorry\r\n"

    untyped = await caller.post(f"{PREFIX}/init/error", b"{}", identity)
    taken = await caller.post(f"{PREFIX}/init/error", b"{}", typed)
    late = await caller.post(f"{PREFIX}/exit/error", b"{}", typed)

    assert (untyped.status, untyped.error_type) == (403, "Extension.MissingHeader")
    assert (taken.status, json.loads(taken.body)) == (202, {"status": "OK"})
    assert (late.status, late.error_type) == (403, "Extension.InvalidExtensionState")
    assert api.heard.events == [("reported", "Extension.InitError")]
    assert "Error Type: Extension.Sorry" in api.session.extensions[0].log_line


async def test_the_end_of_a_process_is_a_crash_unless_it_was_announced(api: Api) -> None:
    api.session.launch(["one"])

    api.session.exited("one", "exit status 3")
    api.session.exited("nobody's", "exit status 4")

    assert api.heard.events == [("failed", "Extension.Crash", "exit status 3")]
    assert api.session.shutting_down == []


async def test_the_runtimes_calls_are_none_of_extensions(api: Api) -> None:
    caller = await api.connect()

    for path in ("register/more", "unknown", ""):
        assert (await caller.post(f"{PREFIX}/{path}")).status == 404
