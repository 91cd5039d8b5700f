"""Functions for Java on AWS's own client, unmodified, in a running system."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.functions import call, failing_call
from tests.deployment_packages import package
from tests.java_guests import CannotBuild, JavaGuest, add_java_runtime, build_guest
from tests.live_system import LiveSystem
from worker.runtimes.official.interface import Launch
from worker.runtimes.official.table import installed

pytestmark = pytest.mark.timeout(600)
"""The first run fetches from Maven Central."""

GUESTS = Path(__file__).parent / "guests"
RUNTIME = "java17"
OTHERS = ("java21", "java25")
MEMORY_MB = 1024
MOST_COLD_STARTS = 40
"""Processes that wait are made while nobody asks for others: the first cold starts find none."""


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveSystem]:
    data_dir = tmp_path_factory.mktemp("java") / "data"
    if problem := add_java_runtime(RUNTIME, data_dir):
        pytest.skip(problem)
    for runtime in OTHERS:
        add_java_runtime(runtime, data_dir)
    with LiveSystem(data_dir) as running:
        yield running


@pytest.fixture(scope="module")
def guests() -> JavaGuest:
    return built("java")


def built(project: str) -> JavaGuest:
    try:
        return build_guest(GUESTS / project)
    except CannotBuild as error:
        pytest.skip(str(error))


def deploy(system: LiveSystem, name: str, handler: str, code: bytes, **more: Any) -> None:
    settings = {"MemorySize": MEMORY_MB, "runtime": RUNTIME, **more}
    system.deploy(name, code, handler=handler, **settings)


def test_event_classes_of_aws_carry_requests_over_http(
    system: LiveSystem, guests: JavaGuest, function_name: str
) -> None:
    deploy(system, function_name, "guests.OrderPage", guests.package())
    event = {
        "version": "2.0",
        "rawPath": "/orders/7",
        "queryStringParameters": {"colour": "red"},
        "requestContext": {"http": {"method": "PUT", "path": "/orders/7"}},
        "body": "wrap it",
        "isBase64Encoded": False,
    }
    answer = call(system, function_name, event)
    assert (answer["statusCode"], answer["body"]) == (201, "/orders/7 red wrap it")
    assert answer["headers"] == {"content-type": "text/plain", "x-method": "PUT"}


def test_event_classes_of_aws_carry_messages_and_what_failed_of_them(
    system: LiveSystem, guests: JavaGuest, function_name: str
) -> None:
    deploy(system, function_name, "guests.OrderQueue::handleRequest", guests.package())
    records = [{"messageId": "a", "body": "x"}, {"messageId": "b", "body": ""}]
    answer = call(system, function_name, {"Records": records})
    assert answer == {"batchItemFailures": [{"itemIdentifier": "b"}]}


def test_a_stream_handler_reads_and_writes_bytes(
    system: LiveSystem, guests: JavaGuest, function_name: str
) -> None:
    deploy(system, function_name, "guests.UpperCase", guests.package())
    payload = '{"size": "größe"}'.encode()
    answer = system.client.invoke(FunctionName=function_name, Payload=payload)
    assert answer["Payload"].read().decode() == '{"SIZE": "GRÖSSE"}'


def test_plain_methods_take_and_give_types_of_their_own(
    system: LiveSystem, guests: JavaGuest, function_name: str
) -> None:
    deploy(system, function_name, "guests.Clerk::serve", guests.package())
    customer = {"name": "Ada", "numbers": [1, 2, 3]}
    answers = [call(system, function_name, customer) for _ in range(2)]
    assert answers == [{"text": "for Ada", "total": 6, "served": served} for served in (1, 2)]


def test_a_function_meets_its_context_its_variables_and_its_users_options(
    system: LiveSystem, guests: JavaGuest, function_name: str
) -> None:
    variables = {"GREETING": "hallo", "JAVA_TOOL_OPTIONS": "-Dgreeting=moin -Xmx200m -XX:+UseParallelGC"}
    environment = {"Variables": variables}
    deploy(
        system, function_name, "guests.Clerk::describe", guests.package(note="größe"), Environment=environment
    )
    answer = system.client.invoke(FunctionName=function_name, Payload=b"{}", LogType="Tail")
    told = json.loads(answer["Payload"].read())
    assert told["name"] == function_name
    assert told["version"] == "$LATEST"
    assert told["arn"].endswith(f":{function_name}")
    assert told["memory"] == MEMORY_MB
    assert told["request"] == answer["ResponseMetadata"]["RequestId"]
    assert 0 < told["remaining"] <= 60_000
    assert (told["greeting"], told["child"], told["property"]) == ("hallo", ["hallo", "/var/task"], "moin")
    assert (told["encoding"], told["note"]) == ("UTF-8", "größe")
    assert 150 <= told["heap"] <= 200
    assert told["java"] == int(RUNTIME.removeprefix("java"))
    assert told["directory"] == "/var/task"
    log = base64.b64decode(answer["LogResult"]).decode()
    assert f"described {told['request']}" in log


@pytest.mark.parametrize("runtime", [RUNTIME, *OTHERS])
def test_a_process_that_waited_becomes_the_functions(
    system: LiveSystem, guests: JavaGuest, function_name: str, runtime: str
) -> None:
    if problem := add_java_runtime(runtime, system.data_dir):
        pytest.skip(problem)
    ready = installed(system.data_dir / "runtimes")[runtime]
    if ready.generic(Launch("pkg.Class", 900, {})) is None and not os.environ.get("CI"):
        pytest.skip("this machine cannot archive what Java loads")
    settings = {
        "runtime": runtime,
        "MemorySize": 900,
        "Environment": {"Variables": {"GREETING": "hallo"}},
    }
    code = guests.package(note="größe")
    for attempt in range(MOST_COLD_STARTS):
        name = f"{function_name}-{attempt}"
        deploy(system, name, "guests.Clerk::describe", code, **settings)
        told = call(system, name, {})
        assert told["name"] == name
        assert (told["greeting"], told["child"]) == ("hallo", ["hallo", "/var/task"])
        assert (told["directory"], told["note"]) == ("/var/task", "größe")
        assert (told["memory"], told["heap"]) == (900, pytest.approx(750, abs=20))
        if told["command"].startswith("lightswitch.AwaitFunction"):
            break
    else:
        pytest.fail(f"{MOST_COLD_STARTS} cold starts, and none from a process that waited")
    failing = f"{function_name}-failing"
    deploy(system, failing, "guests.Clerk::fail", code, **settings)
    assert failing_call(system, failing, {})["errorMessage"] == "failed on purpose"


@pytest.mark.parametrize("runtime", OTHERS)
def test_later_versions_of_java_run_the_same_function(
    system: LiveSystem, guests: JavaGuest, function_name: str, runtime: str
) -> None:
    if problem := add_java_runtime(runtime, system.data_dir):
        pytest.skip(problem)
    deploy(system, function_name, "guests.Clerk::describe", guests.package(), runtime=runtime)
    answer = system.client.invoke(FunctionName=function_name, Payload=b"{}", LogType="Tail")
    assert json.loads(answer["Payload"].read())["java"] == int(runtime.removeprefix("java"))
    assert "WARNING" not in base64.b64decode(answer["LogResult"]).decode()


def test_the_heap_follows_the_functions_memory(
    system: LiveSystem, guests: JavaGuest, function_name: str
) -> None:
    deploy(system, function_name, "guests.Clerk::describe", guests.package(), MemorySize=512)
    assert 400 <= call(system, function_name, {})["heap"] <= 436


def test_a_heap_that_is_full_is_an_error_of_the_function(
    system: LiveSystem, guests: JavaGuest, function_name: str
) -> None:
    deploy(system, function_name, "guests.Clerk::fill", guests.package(), MemorySize=256)
    document = failing_call(system, function_name, {})
    assert document["errorType"] == "java.lang.OutOfMemoryError"


def test_an_exception_is_told_with_its_stack(
    system: LiveSystem, guests: JavaGuest, function_name: str
) -> None:
    deploy(system, function_name, "guests.Clerk::fail", guests.package())
    document = failing_call(system, function_name, {})
    assert document["errorType"] == "java.lang.IllegalArgumentException"
    assert document["errorMessage"] == "failed on purpose"
    assert document["stackTrace"][0].startswith("guests.Clerk.fail(Clerk.java:")


def test_a_class_that_is_missing_or_cannot_be_made_is_told_by_name(
    system: LiveSystem, guests: JavaGuest, function_name: str
) -> None:
    deploy(system, function_name, "guests.Nobody::serve", guests.package())
    document = failing_call(system, function_name, {})
    assert document["errorType"] == "java.lang.ClassNotFoundException"
    assert "guests.Nobody" in document["errorMessage"]
    broken = f"{function_name}-broken"
    deploy(system, broken, "guests.Broken::serve", guests.package())
    document = failing_call(system, broken, {})
    assert document["errorType"] == "java.lang.IllegalStateException"
    assert document["errorMessage"] == "broken on purpose"


def test_a_function_that_exits_is_told_and_the_next_call_finds_another(
    system: LiveSystem, guests: JavaGuest, function_name: str
) -> None:
    deploy(system, function_name, "guests.Clerk::exit", guests.package())
    for _ in range(2):
        document = failing_call(system, function_name, {})
        assert document["errorType"] == "Runtime.ExitError"
        assert document["errorMessage"].endswith("Runtime exited with error: exit status 3")


def test_a_function_that_takes_too_long_is_ended(
    system: LiveSystem, guests: JavaGuest, function_name: str
) -> None:
    deploy(system, function_name, "guests.Clerk::sleep", guests.package(), timeout_seconds=2)
    document = failing_call(system, function_name, {})
    assert document["errorType"] == "Sandbox.Timedout"
    assert document["errorMessage"].endswith("Task timed out after 2.00 seconds")


def test_jars_of_layers_and_packages_are_on_the_class_path(
    system: LiveSystem, guests: JavaGuest, function_name: str
) -> None:
    shared = guests.jar("guests/shared/")
    layer = system.client.publish_layer_version(
        LayerName=function_name,
        Content={"ZipFile": package({"java/lib/shared.jar": shared})},
    )
    arn = layer["LayerVersionArn"]
    code = guests.package(without="guests/shared/")
    deploy(system, function_name, "guests.Clerk::layered", code, Layers=[arn])
    assert call(system, function_name, {}) == "7"
    inside = f"{function_name}-jar"
    code = JavaGuest({}, {"all.jar": guests.jar("guests/"), **guests.jars}).package()
    deploy(system, inside, "guests.Clerk::layered", code)
    assert call(system, inside, {}) == "7"


def test_a_spring_cloud_function_answers(system: LiveSystem, function_name: str) -> None:
    code = built("spring_greeter").package()
    handler = "org.springframework.cloud.function.adapter.aws.FunctionInvoker::handleRequest"
    environment = {
        "Variables": {"MAIN_CLASS": "greeter.Greeter", "SPRING_CLOUD_FUNCTION_DEFINITION": "greet"}
    }
    deploy(system, function_name, handler, code, Environment=environment)
    for name in ("Ada", "Grace"):
        assert call(system, function_name, {"name": name}) == {"greeting": f"hello {name}"}
