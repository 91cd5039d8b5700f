"""Functions for Node.js on AWS's own client, unmodified, in a running system."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.acceptance.functions import call, failing_call
from tests.deployment_packages import package
from tests.guest_runtimes import add_runtime
from tests.live_system import LiveSystem
from worker.runtimes.node.aws_sdk import PACKAGES
from worker.runtimes.node.client import NODE_CLIENTS
from worker.runtimes.official.interface import CannotInstall

pytestmark = pytest.mark.timeout(600)
"""The first run installs the clients, which are compiled, and two interpreters."""

COMMON_JS = b"""
const tools = require("tools");
exports.handler = async (event, context) => {
  if (event.fail) throw new TypeError("failed on purpose");
  return {event, name: context.functionName, tools: tools.version, node: process.version};
};
"""
WITH_CALLBACK = b"""
exports.handler = (event, context, callback) => callback(null, event.number + 1);
"""
MODULE = b"""
import { setTimeout } from "node:timers/promises";
export const handler = async (event) => { await setTimeout(5); return event.number * 2; };
"""
WITH_SDK = b"""
const { S3Client, CreateBucketCommand, PutObjectCommand, GetObjectCommand } = require("@aws-sdk/client-s3");
exports.handler = async (event) => {
  const s3 = new S3Client({ forcePathStyle: true });
  const place = { Bucket: event.bucket, Key: "greeting" };
  await s3.send(new CreateBucketCommand({ Bucket: event.bucket }));
  await s3.send(new PutObjectCommand({ ...place, Body: "hello" }));
  return (await s3.send(new GetObjectCommand(place))).Body.transformToString();
};
"""
MODULE_WITH_SDK = b"""
import { SQSClient, CreateQueueCommand } from "@aws-sdk/client-sqs";
import { DynamoDBDocumentClient } from "@aws-sdk/lib-dynamodb";
export const handler = async (event) => {
  const made = await new SQSClient().send(new CreateQueueCommand({ QueueName: event.queue }));
  return [made.QueueUrl.split("/").pop(), typeof DynamoDBDocumentClient];
};
"""
OWN_SDK = {
    "node_modules/@aws-sdk/client-s3/package.json": b'{"name": "@aws-sdk/client-s3", "version": "0.0.1"}',
    "node_modules/@aws-sdk/client-s3/index.js": b'exports.S3Client = "my own";',
}
OWN_SDK_USERS = {
    "app.js": b"""exports.handler = async () => require("@aws-sdk/client-s3").S3Client;""",
    "app.mjs": b"""import sdk from "@aws-sdk/client-s3"; export const handler = async () => sdk.S3Client;""",
}
STREAMING = b"""
exports.handler = awslambda.streamifyResponse(async (event, stream) => {
  for (let i = 0; i < 3; i++) stream.write(`part ${i};`);
  stream.end();
});
"""


RUNTIMES = [client.runtime for client in NODE_CLIENTS]


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveSystem]:
    """All runtimes are added while it runs."""
    with LiveSystem(tmp_path_factory.mktemp("node") / "data", ["--with-local-aws"]) as running:
        with pytest.raises(running.client.exceptions.InvalidParameterValueException, match="enum value set"):
            deploy(running, "too-early", RUNTIMES[0], {"app.js": COMMON_JS})
        for runtime in RUNTIMES:
            try:
                add_runtime(running, runtime)
            except CannotInstall as error:
                pytest.skip(str(error))
        yield running


@pytest.fixture(params=RUNTIMES)
def runtime(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def deploy(system: LiveSystem, name: str, runtime: str, files: dict[str, bytes], **more: Any) -> None:
    system.deploy(name, package(files), runtime=runtime, **more)


def test_a_common_js_handler_answers_finds_its_layer_and_reports_errors(
    system: LiveSystem, runtime: str, function_name: str
) -> None:
    layer = system.client.publish_layer_version(
        LayerName="tools",
        Content={"ZipFile": package({"nodejs/node_modules/tools/index.js": b"exports.version = 3;"})},
    )
    deploy(system, function_name, runtime, {"app.js": COMMON_JS}, Layers=[layer["LayerVersionArn"]])
    for number in range(3):
        answer = call(system, function_name, {"n": number})
        assert answer.pop("node").startswith(f"v{runtime.removeprefix('nodejs').partition('.')[0]}.")
        assert answer == {"event": {"n": number}, "name": function_name, "tools": 3}
    document = failing_call(system, function_name, {"fail": True})
    assert (document["errorType"], document["errorMessage"]) == ("TypeError", "failed on purpose")
    assert document["trace"]


def test_an_ecmascript_module_answers(system: LiveSystem, runtime: str, function_name: str) -> None:
    deploy(system, function_name, runtime, {"app.mjs": MODULE})
    assert call(system, function_name, {"number": 21}) == 42


def test_a_function_that_brings_no_sdk_finds_one(
    system: LiveSystem, runtime: str, function_name: str
) -> None:
    deploy(system, function_name, runtime, {"app.js": WITH_SDK}, MemorySize=1024)

    assert call(system, function_name, {"bucket": function_name.lower()}) == "hello"


@pytest.mark.parametrize("runtime", RUNTIMES[1:])
def test_a_module_that_brings_no_sdk_finds_one(system: LiveSystem, runtime: str, function_name: str) -> None:
    deploy(system, function_name, runtime, {"app.mjs": MODULE_WITH_SDK}, MemorySize=1024)

    assert call(system, function_name, {"queue": function_name}) == [function_name, "function"]


@pytest.mark.parametrize(("name", "code"), OWN_SDK_USERS.items())
def test_a_function_that_brings_an_sdk_gets_its_own(
    system: LiveSystem, function_name: str, name: str, code: bytes
) -> None:
    deploy(system, function_name, RUNTIMES[1], {name: code, **OWN_SDK})

    assert call(system, function_name, None) == "my own"


def test_every_package_of_the_sdk_can_be_loaded(system: LiveSystem, function_name: str) -> None:
    code = b"exports.handler = async (names) => names.map((name) => Object.keys(require(name)).length > 0);"
    deploy(system, function_name, RUNTIMES[1], {"app.js": code}, MemorySize=1769)

    assert call(system, function_name, list(PACKAGES)) == [True] * len(PACKAGES)


def test_a_handler_with_a_callback_answers_as_on_lambda(
    system: LiveSystem, runtime: str, function_name: str
) -> None:
    deploy(system, function_name, runtime, {"app.js": WITH_CALLBACK})
    if runtime == "nodejs24.x":
        document = failing_call(system, function_name, {"number": 1})
        assert document["errorType"] == "Runtime.CallbackHandlerDeprecated"
    else:
        assert call(system, function_name, {"number": 1}) == 2


def test_a_response_is_streamed(system: LiveSystem, runtime: str, function_name: str) -> None:
    deploy(system, function_name, runtime, {"app.js": STREAMING})
    answer = system.client.invoke_with_response_stream(FunctionName=function_name, Payload=b"{}")
    events = list(answer["EventStream"])
    chunks = [event["PayloadChunk"]["Payload"] for event in events if "PayloadChunk" in event]
    assert b"".join(chunks) == b"part 0;part 1;part 2;"
    assert "ErrorCode" not in events[-1]["InvokeComplete"]


def test_a_runtime_that_no_worker_has_is_refused_naming_what_there_is(
    system: LiveSystem, function_name: str
) -> None:
    with pytest.raises(system.client.exceptions.InvalidParameterValueException, match=RUNTIMES[0]):
        deploy(system, function_name, "ruby3.3", {"app.rb": b""})
