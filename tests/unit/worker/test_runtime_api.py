"""The Runtime API over real connections: states, limits, and HTTP as runtimes really speak it."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.runtime_api_calls import (
    Caller,
    Heard,
    HeardOfExtensions,
    connected,
    environment_spec,
    post,
)
from tests.waiting import until
from worker.environments.interface import HandlerFailed, Succeeded, Work
from worker.runtime_api import routes
from worker.runtime_api.extension_session import ExtensionSession
from worker.runtime_api.listener import RuntimeApiListener
from worker.runtime_api.session import Session

NEXT = b"GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: x\r\n\r\n"
LIMIT_BYTES = 6_291_556


@dataclass
class Api:
    """An open Runtime API."""

    session: Session
    heard: Heard
    address: str
    runtimes: list[Caller] = field(default_factory=list)

    async def connect(self) -> Caller:
        self.runtimes.append(await connected(self.address))
        return self.runtimes[-1]

    async def hang_up(self) -> None:
        for runtime in self.runtimes:
            runtime.writer.close()
            with suppress(ConnectionError):
                await runtime.writer.wait_closed()

    async def running(self) -> Caller:
        """A runtime that has got the run `id-1`."""
        runtime = await self.connect()
        runtime.say(NEXT)
        await until(lambda: ("ready",) in self.heard.events)
        self.session.offer(work_of("id-1"))
        answer = await runtime.hear()
        assert answer.status == 200
        return runtime


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    heard = Heard()
    session = Session(heard)
    api_of_runtime = routes.Api(
        session, ExtensionSession(HeardOfExtensions()), environment_spec(), lambda name, subscription: None
    )
    listener = RuntimeApiListener(api_of_runtime)
    address = listener.open()["AWS_LAMBDA_RUNTIME_API"]
    listener.process_started()
    api = Api(session, heard, address)
    yield api
    await api.hang_up()
    listener.close()


async def test_who_calls_before_it_is_known_whose_process_it_is_waits(api: Api) -> None:
    heard, known = Heard(), False
    session = Session(heard)
    extensions = ExtensionSession(HeardOfExtensions())
    served = routes.Api(
        session, extensions, environment_spec(), lambda name, subscription: None, lambda connection: known
    )
    listener = RuntimeApiListener(served)
    runtime = await connected(listener.open()["AWS_LAMBDA_RUNTIME_API"])
    runtime.say(NEXT)
    await (await api.connect()).get("/of-another-environment")

    known = True
    listener.process_started()

    try:
        await until(lambda: ("ready",) in heard.events)
    finally:
        runtime.writer.close()
        listener.close()


def work_of(request_id: str, payload: bytes = b'{"a":1}', **details: Any) -> Work:
    return Work(request_id, payload, 1_795_000_000_000, "arn:aws:lambda:x:1:function:f", **details)


def of_invocation(request_id: str, call: str) -> str:
    return f"/2018-06-01/runtime/invocation/{request_id}/{call}"


async def test_next_waits_and_then_carries_the_run(api: Api) -> None:
    runtime = await api.connect()
    runtime.say(NEXT)
    await until(lambda: api.heard.events == [("ready",)])

    api.session.offer(work_of("id-1", trace_header="Root=1", client_context='{"custom":{}}'))
    answer = await runtime.hear()

    assert (answer.status, answer.body) == (200, b'{"a":1}')
    expected = {
        "lambda-runtime-aws-request-id": "id-1",
        "lambda-runtime-deadline-ms": "1795000000000",
        "lambda-runtime-invoked-function-arn": "arn:aws:lambda:x:1:function:f",
        "lambda-runtime-trace-id": "root=1",
        "lambda-runtime-client-context": '{"custom":{}}',
    }
    assert expected.items() <= answer.headers.items()


async def test_a_response_is_accepted_and_reported(api: Api) -> None:
    runtime = await api.running()

    answer = await runtime.post(of_invocation("id-1", "response"), b'"done"')

    assert (answer.status, json.loads(answer.body)) == (202, {"status": "OK"})
    assert api.heard.events[-1] == ("answered", Succeeded(b'"done"'))


async def test_a_run_that_is_offered_early_is_there_at_the_next_call(api: Api) -> None:
    runtime = await api.running()
    await runtime.post(of_invocation("id-1", "response"))

    api.session.offer(work_of("id-2"))
    answer = await runtime.call(NEXT)

    assert answer.headers["lambda-runtime-aws-request-id"] == "id-2"


async def test_a_response_and_the_following_next_may_come_in_one_write(api: Api) -> None:
    runtime = await api.running()

    runtime.say(post(of_invocation("id-1", "response"), b"1") + NEXT)
    assert (await runtime.hear()).status == 202
    api.session.offer(work_of("id-2"))

    assert (await runtime.hear()).headers["lambda-runtime-aws-request-id"] == "id-2"


async def test_calls_behind_a_waiting_next_are_answered_in_their_order(api: Api) -> None:
    runtime = await api.connect()
    runtime.say(NEXT + post("/unknown") + post(of_invocation("id-1", "response"), b"1"))
    await until(lambda: bool(api.heard.events))

    api.session.offer(work_of("id-1"))

    assert [(await runtime.hear()).status for _ in range(3)] == [200, 404, 202]


async def test_an_errors_type_and_document_are_reported(api: Api) -> None:
    runtime = await api.running()
    document = b'{"errorType":"MyError","errorMessage":"m","stackTrace":[]}'

    answer = await runtime.post(of_invocation("id-1", "error"), document)

    assert answer.status == 202
    assert api.heard.events[-1] == ("answered", HandlerFailed("MyError", document))


async def test_an_error_without_a_document_has_the_type_of_its_header(api: Api) -> None:
    runtime = await api.running()

    await runtime.post(
        of_invocation("id-1", "error"), b"", "Lambda-Runtime-Function-Error-Type: Runtime.Mine\r\n"
    )

    expected = HandlerFailed("Runtime.Mine", b'{"errorType": "Runtime.Mine", "errorMessage": ""}')
    assert api.heard.events[-1] == ("answered", expected)


async def test_an_x_ray_cause_of_a_megabyte_passes(api: Api) -> None:
    runtime = await api.running()
    cause = f"Lambda-Runtime-Function-XRay-Error-Cause: {'x' * (1 << 20)}\r\n"

    answer = await runtime.post(of_invocation("id-1", "error"), b'{"errorType":"E"}', cause)

    assert answer.status == 202


async def test_a_failed_init_is_reported_once(api: Api) -> None:
    runtime = await api.connect()
    document = b'{"errorType":"Runtime.ImportModuleError","errorMessage":"m"}'

    first = await runtime.post("/2018-06-01/runtime/init/error", document)
    second = await runtime.post("/2018-06-01/runtime/init/error", document)

    assert (first.status, second.status) == (202, 403)
    assert api.heard.events == [("init failed", "Runtime.ImportModuleError", document)]


@pytest.mark.parametrize("call", ["response", "error"])
async def test_another_runs_id_is_refused(api: Api, call: str) -> None:
    runtime = await api.running()

    answer = await runtime.post(of_invocation("id-2", call))

    assert (answer.status, answer.error_type) == (400, "InvalidRequestID")
    assert api.heard.events == [("ready",)]


@pytest.mark.parametrize("call", ["response", "error"])
async def test_a_second_answer_is_refused(api: Api, call: str) -> None:
    runtime = await api.running()
    await runtime.post(of_invocation("id-1", "response"))

    answer = await runtime.post(of_invocation("id-1", call))

    assert (answer.status, answer.error_type) == (403, "InvalidStateTransition")
    assert len(api.heard.events) == 2


async def test_next_without_an_answer_to_the_run_is_refused(api: Api) -> None:
    runtime = await api.running()

    answer = await runtime.call(NEXT)

    assert (answer.status, answer.error_type) == (403, "InvalidStateTransition")


async def test_two_calls_of_next_do_not_share_a_run(api: Api) -> None:
    first, second = await api.connect(), await api.connect()
    first.say(NEXT)
    await until(lambda: bool(api.heard.events))

    assert (await second.call(NEXT)).status == 403
    api.session.offer(work_of("id-1"))
    assert (await first.hear()).status == 200


async def test_a_next_whose_connection_broke_may_be_repeated(api: Api) -> None:
    first = await api.connect()
    first.say(NEXT)
    await until(lambda: bool(api.heard.events))
    first.writer.close()
    await until(lambda: not api.session.waiting)

    second = await api.connect()
    second.say(NEXT)
    await until(lambda: api.session.waiting)
    api.session.offer(work_of("id-1"))

    assert (await second.hear()).headers["lambda-runtime-aws-request-id"] == "id-1"


async def test_init_error_after_the_first_next_is_refused(api: Api) -> None:
    runtime = await api.running()

    answer = await runtime.post("/2018-06-01/runtime/init/error")

    assert (answer.status, answer.error_type) == (403, "InvalidStateTransition")


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_response_above_the_limit_is_refused_and_the_run_fails(api: Api, chunked: bool) -> None:
    runtime = await api.running()
    body = b"x" * (LIMIT_BYTES + 1)

    if chunked:
        answer = await runtime.call(chunks(of_invocation("id-1", "response"), body))
    else:
        answer = await runtime.post(of_invocation("id-1", "response"), body)

    assert (answer.status, answer.error_type) == (413, "RequestEntityTooLarge")
    outcome = api.heard.events[-1][1]
    assert isinstance(outcome, HandlerFailed)
    assert json.loads(outcome.document) == {
        "errorType": "Function.ResponseSizeTooLarge",
        "errorMessage": "Response payload size exceeded maximum allowed payload size (6291556 bytes).",
    }


def chunks(path: str, body: bytes, trailers: str = "", headers: str = "") -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\n{headers}Transfer-Encoding: chunked\r\n\r\n".encode()
    pieces = [body[start : start + 70_000] for start in range(0, len(body), 70_000)]
    return (
        head
        + b"".join(b"%x\r\n%b\r\n" % (len(p), p) for p in pieces)
        + b"0\r\n"
        + trailers.encode()
        + b"\r\n"
    )


async def test_a_chunked_response_is_put_together(api: Api) -> None:
    runtime = await api.running()
    body = b"y" * 200_000

    answer = await runtime.call(chunks(of_invocation("id-1", "response"), body))

    assert answer.status == 202
    assert api.heard.events[-1] == ("answered", Succeeded(body))


async def test_a_stream_that_broke_off_says_so_in_its_trailers(api: Api) -> None:
    runtime = await api.running()
    document = b'{"errorType":"Late","errorMessage":"m"}'
    trailers = (
        "Lambda-Runtime-Function-Error-Type: Late\r\n"
        f"Lambda-Runtime-Function-Error-Body: {base64.b64encode(document).decode()}\r\n"
    )
    streaming = "Lambda-Runtime-Function-Response-Mode: streaming\r\nTrailer: x\r\n"

    answer = await runtime.call(chunks(of_invocation("id-1", "response"), b"part", trailers, streaming))

    assert answer.status == 202
    assert api.heard.events[-1] == ("answered", HandlerFailed("Late", document))


async def test_a_callers_texts_cannot_add_headers(api: Api) -> None:
    runtime = await api.connect()
    runtime.say(NEXT)
    await until(lambda: bool(api.heard.events))

    hostile = '{"custom":\r\nX-Evil: 1\r\n\r\n"é\U0001f600"}'
    api.session.offer(work_of("id-1", client_context=hostile, trace_header="Root=1\r\nX-Evil: 2"))
    answer = await runtime.hear()

    assert "x-evil" not in answer.headers
    assert answer.headers["lambda-runtime-client-context"].endswith('"\\u00e9\\ud83d\\ude00"}')


@pytest.mark.parametrize(
    ("request_line", "status"),
    [
        ("POST /2020-01-01/extension/unknown", 404),
        ("GET /2018-06-01/runtime/invocation/id-1/response", 404),
        ("POST /2018-06-01/runtime/invocation/id-1/unknown", 404),
        ("GET /", 404),
    ],
)
async def test_what_is_not_offered_is_refused_clearly(api: Api, request_line: str, status: int) -> None:
    runtime = await api.connect()

    answer = await runtime.call(f"{request_line} HTTP/1.1\r\nHost: x\r\n\r\n".encode())

    assert answer.status == status
    assert json.loads(answer.body)["errorMessage"]


@pytest.mark.parametrize("garbage", [b"\x00\x01\x02\r\n\r\n", b"NONSENSE\r\n\r\n"])
async def test_what_is_no_http_ends_the_connection_only(api: Api, garbage: bytes) -> None:
    hostile = await api.connect()

    assert (await hostile.call(garbage)).status == 400
    assert await hostile.reader.read() == b""

    assert (await (await api.connect()).call(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")).status == 404


async def test_headers_without_end_are_cut_off(api: Api) -> None:
    hostile = await api.connect()

    hostile.say(b"GET / HTTP/1.1\r\n" + b"".join(b"H%d: %b\r\n" % (n, b"x" * 60_000) for n in range(80)))

    assert (await hostile.hear()).status == 400


async def test_a_connection_that_asks_to_be_closed_is(api: Api) -> None:
    runtime = await api.connect()

    answer = await runtime.call(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")

    assert answer.status == 404
    assert await runtime.reader.read() == b""


async def test_a_closed_session_refuses_everything(api: Api) -> None:
    runtime = await api.connect()
    api.session.close()

    assert (await runtime.call(NEXT)).status == 403
    assert api.heard.events == []


@dataclass
class Sink:
    """Takes a streamed response; has room until it is told otherwise."""

    content_type: str = ""
    taken: bytearray = field(default_factory=bytearray)
    has_room: bool = True
    resume: list[Callable[[], None]] = field(default_factory=list)

    def begin(self, content_type: str) -> None:
        self.content_type = content_type

    def write(self, chunk: bytes) -> None:
        self.taken += chunk

    def when_room(self, resume: Callable[[], None]) -> None:
        self.resume.append(resume)

    def make_room(self) -> None:
        self.has_room = True
        waiting, self.resume = self.resume, []
        for resume in waiting:
            resume()


STREAMING = (
    b"POST /2018-06-01/runtime/invocation/id-1/response HTTP/1.1\r\nHost: x\r\n"
    b"Content-Type: text/plain\r\nLambda-Runtime-Function-Response-Mode: streaming\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n"
)
END = b"0\r\n\r\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


class TestStreamedResponses:
    @pytest.fixture
    def sink(self) -> Sink:
        return Sink()

    @pytest.fixture
    async def runtime(self, api: Api, sink: Sink) -> Caller:
        runtime = await api.connect()
        runtime.say(NEXT)
        await until(lambda: ("ready",) in api.heard.events)
        api.session.offer(work_of("id-1", sink=sink))
        assert (await runtime.hear()).status == 200
        return runtime

    async def test_bytes_reach_the_sink_before_the_response_ends(
        self, api: Api, runtime: Caller, sink: Sink
    ) -> None:
        runtime.say(STREAMING + chunk(b"one"))
        await until(lambda: sink.taken == b"one")
        assert sink.content_type == "text/plain"
        assert len(api.heard.events) == 1
        assert (await runtime.call(chunk(b" two") + END)).status == 202
        assert sink.taken == b"one two"
        assert api.heard.events[1:] == [("answered", Succeeded(b""))]

    async def test_trailers_make_it_a_failure(self, api: Api, runtime: Caller, sink: Sink) -> None:
        document = b'{"errorType":"Oops","errorMessage":"m"}'
        trailers = b"0\r\nLambda-Runtime-Function-Error-Type: Oops\r\n"
        trailers += b"Lambda-Runtime-Function-Error-Body: " + base64.b64encode(document) + b"\r\n\r\n"
        assert (await runtime.call(STREAMING + chunk(b"begun") + trailers)).status == 202
        assert api.heard.events[1:] == [("answered", HandlerFailed("Oops", document))]

    async def test_a_full_sink_holds_the_runtime_up(self, runtime: Caller, sink: Sink) -> None:
        sink.has_room = False
        runtime.say(STREAMING + chunk(b"x"))
        await until(lambda: bool(sink.resume))
        flood = b"y" * (32 << 20)
        runtime.say(chunk(flood) + END)
        await asyncio.sleep(0.1)
        assert len(sink.taken) < len(flood) // 4
        sink.make_room()
        async with asyncio.timeout(10):
            assert (await runtime.hear()).status == 202
        assert len(sink.taken) == 1 + len(flood)

    async def test_without_a_sink_it_is_collected(self, api: Api) -> None:
        runtime = await api.running()
        assert (await runtime.call(STREAMING + chunk(b"one") + chunk(b" two") + END)).status == 202
        assert api.heard.events[1:] == [("answered", Succeeded(b"one two"))]

    async def test_a_response_of_another_run_reaches_nobody(self, runtime: Caller, sink: Sink) -> None:
        answer = await runtime.call(STREAMING.replace(b"id-1", b"id-2") + chunk(b"x") + END)
        assert answer.status == 400
        assert not sink.taken

    async def test_an_error_beside_a_stream_is_out_of_turn(
        self, api: Api, runtime: Caller, sink: Sink
    ) -> None:
        runtime.say(STREAMING + chunk(b"one"))
        await until(lambda: sink.taken == b"one")
        other = await api.connect()
        assert (await other.post("/2018-06-01/runtime/invocation/id-1/error")).status == 403
        assert (await runtime.call(END)).status == 202

    async def test_a_stream_that_breaks_off_is_truncated(self, api: Api, runtime: Caller, sink: Sink) -> None:
        runtime.say(STREAMING + chunk(b"one"))
        await until(lambda: sink.taken == b"one")
        runtime.writer.close()
        await until(lambda: len(api.heard.events) == 2)
        outcome = api.heard.events[1][1]
        assert isinstance(outcome, HandlerFailed)
        assert outcome.error_type == "Runtime.TruncatedResponse"

    async def test_a_runtime_that_breaks_off_may_ask_for_more_at_once(
        self, api: Api, runtime: Caller, sink: Sink
    ) -> None:
        runtime.say(STREAMING + chunk(b"one"))
        await until(lambda: sink.taken == b"one")
        other = await api.connect()
        other.say(NEXT)
        runtime.writer.close()
        await until(lambda: len(api.heard.events) == 2)
        api.session.offer(work_of("id-2"))
        async with asyncio.timeout(10):
            assert (await other.hear()).status == 200

    async def test_a_next_may_overtake_all_of_the_response_that_broke_off(
        self, api: Api, runtime: Caller, sink: Sink
    ) -> None:
        other = await api.connect()
        other.say(NEXT)
        await until(lambda: api.session.waiting)
        runtime.say(STREAMING + chunk(b"one"))
        await until(lambda: sink.taken == b"one")
        runtime.writer.close()
        await until(lambda: len(api.heard.events) == 2)
        outcome = api.heard.events[1][1]
        assert isinstance(outcome, HandlerFailed)
        assert outcome.error_type == "Runtime.TruncatedResponse"
        api.session.offer(work_of("id-2"))
        async with asyncio.timeout(10):
            assert (await other.hear()).status == 200

    async def test_a_next_that_overtakes_nothing_is_refused(
        self, api: Api, runtime: Caller, sink: Sink, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("worker.runtime_api.connection.OVERTAKEN_SECONDS", 0.05)
        other = await api.connect()
        answer = await other.call(NEXT)
        assert (answer.status, answer.error_type) == (403, "InvalidStateTransition")
        runtime.say(STREAMING + chunk(b"one") + END)
        assert (await runtime.hear()).status == 202

    async def test_a_response_that_is_collected_and_breaks_off_is_truncated(self, api: Api) -> None:
        runtime = await api.running()
        runtime.say(STREAMING + chunk(b"one"))
        await until(lambda: api.session.request_id == "id-1")
        runtime.writer.close()
        await until(lambda: len(api.heard.events) == 2)
        outcome = api.heard.events[1][1]
        assert isinstance(outcome, HandlerFailed)
        assert outcome.error_type == "Runtime.TruncatedResponse"

    async def test_more_than_the_limit_is_refused(
        self, api: Api, runtime: Caller, sink: Sink, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("worker.runtime_api.messages.STREAM_LIMIT_BYTES", 1000)
        assert (await runtime.call(STREAMING + chunk(b"x" * 1001))).status == 413
        outcome = api.heard.events[1][1]
        assert isinstance(outcome, HandlerFailed)
        assert outcome.error_type == "Function.ResponseSizeTooLarge"
