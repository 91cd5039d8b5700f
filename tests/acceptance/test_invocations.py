"""Synchronous invocations as boto3 sees them: results, errors, context, logs, limits."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.acceptance.functions import attempts, call, deploy, failing_call, reserved, signed_get
from tests.deployment_packages import package
from tests.live_system import LiveSystem

NAME = "everything"


@pytest.fixture(scope="module")
def system(shared_system: LiveSystem) -> Iterator[LiveSystem]:
    deploy(
        shared_system,
        NAME,
        Environment={"Variables": {"GREETING": "hello"}},
        MemorySize=256,
        timeout_seconds=3,
    )
    yield shared_system
    shared_system.client.delete_function(FunctionName=NAME)


@pytest.mark.usefixtures("running_system")
class TestResults:
    @pytest.mark.parametrize("event", [{}, {"do": "echo", "ä": ["☃", 1.5, None, True]}, {"deep": {"er": []}}])
    def test_an_event_comes_back_as_it_went(self, system: LiveSystem, event: dict[str, Any]) -> None:
        assert call(system, NAME, event) == event

    def test_no_payload_is_an_empty_event(self, system: LiveSystem) -> None:
        assert json.loads(system.client.invoke(FunctionName=NAME)["Payload"].read()) == {}

    def test_the_answer_names_the_version_that_ran(self, system: LiveSystem) -> None:
        answer = system.client.invoke(FunctionName=NAME, Payload=b"{}")
        assert (answer["StatusCode"], answer["ExecutedVersion"]) == (200, "$LATEST")

    def test_a_dry_run_runs_nothing(self, system: LiveSystem) -> None:
        answer = system.client.invoke(FunctionName=NAME, InvocationType="DryRun", Payload=b"{}")
        assert answer["StatusCode"] == 204

    def test_every_way_of_naming_a_function_works(self, system: LiveSystem) -> None:
        full = system.client.get_function_configuration(FunctionName=NAME)["FunctionArn"]
        for name in (NAME, full, f"123456789012:function:{NAME}", f"function:{NAME}", f"{full}:$LATEST"):
            assert call(system, name, {"a": 1}) == {"a": 1}

    def test_six_megabytes_go_both_ways(self, system: LiveSystem) -> None:
        event = {"do": "echo", "text": "x" * 6_000_000}
        assert call(system, NAME, event) == event

    def test_an_update_is_seen_by_the_next_call(self, system: LiveSystem, function_name: str) -> None:
        deploy(system, function_name, b"def handler(event, context):\n    return 0\n")
        for number in range(1, 6):
            code = f"def handler(event, context):\n    return {number}\n".encode()
            system.client.update_function_code(FunctionName=function_name, ZipFile=package({"app.py": code}))
            system.client.get_waiter("function_updated_v2").wait(FunctionName=function_name)
            assert call(system, function_name, {}) == number

    def test_sixty_four_callers_at_once_all_get_their_own_answer(self, system: LiveSystem) -> None:
        with ThreadPoolExecutor(64) as callers:
            answers = list(callers.map(lambda number: call(system, NAME, {"n": number}), range(640)))
        assert answers == [{"n": number} for number in range(640)]


@pytest.mark.usefixtures("running_system")
class TestContext:
    def test_the_context_is_complete(self, system: LiveSystem) -> None:
        client = base64.b64encode(json.dumps({"custom": {"a": "b"}, "env": {"c": "d"}}).encode()).decode()
        answer = system.client.invoke(
            FunctionName=NAME, ClientContext=client, Payload=json.dumps({"do": "context"})
        )
        seen = json.loads(answer["Payload"].read())
        assert seen["request_id"] == answer["ResponseMetadata"]["RequestId"]
        assert seen["arn"] == f"arn:aws:lambda:us-east-1:123456789012:function:{NAME}"
        assert (seen["name"], seen["version"], seen["memory"]) == (NAME, "$LATEST", "256")
        assert seen["group"] == f"/aws/lambda/{NAME}"
        assert re.fullmatch(r"\d{4}/\d\d/\d\d/\[\$LATEST\][0-9a-f]{32}", seen["stream"])
        assert 2000 < seen["remaining"] <= 3000
        assert seen["identity"] == [None, None]
        assert seen["client"] == {"custom": {"a": "b"}, "env": {"c": "d"}}
        assert re.match(r"Root=1-[0-9a-f]{8}-[0-9a-f]{24};Parent=[0-9a-f]{16};Sampled=[01]", seen["trace"])
        assert seen["variable"] == "hello"

    def test_a_function_sees_nothing_of_the_platform_s_environment(self, system: LiveSystem) -> None:
        names = call(system, NAME, {"do": "environment"})
        assert not [name for name in names if name.startswith("LIGHTSWITCH_") and "ENVIRONMENT" not in name]
        assert "AWS_LAMBDA_FUNCTION_NAME" in names

    def test_the_tail_of_the_log_comes_with_the_answer(self, system: LiveSystem) -> None:
        answer = system.client.invoke(
            FunctionName=NAME, LogType="Tail", Payload=json.dumps({"do": "print", "text": "look here"})
        )
        request_id = answer["ResponseMetadata"]["RequestId"]
        lines = base64.b64decode(answer["LogResult"]).decode().splitlines()
        assert lines[-4:-1] == [
            f"START RequestId: {request_id} Version: $LATEST",
            "look here",
            f"END RequestId: {request_id}",
        ]
        assert re.fullmatch(
            rf"REPORT RequestId: {request_id}\tDuration: [\d.]+ ms\tBilled Duration: \d+ ms\t"
            r"Memory Size: 256 MB\tMax Memory Used: \d+ MB\t(Init Duration: [\d.]+ ms\t)?",
            lines[-1],
        )

    def test_a_log_in_json_is_json_from_start_to_report(self, system: LiveSystem) -> None:
        code = (
            "import logging, os\n"
            "def handler(event, context):\n"
            "    logging.warning('too fine')\n"
            "    logging.error('look here')\n"
            "    return os.environ['AWS_LAMBDA_LOG_GROUP_NAME'], context.log_group_name\n"
        )
        wanted = {"LogFormat": "JSON", "ApplicationLogLevel": "ERROR", "LogGroup": "/all/in/one"}
        system.deploy("structured", package({"app.py": code.encode()}), LoggingConfig=wanted)
        answer = system.client.invoke(FunctionName="structured", LogType="Tail")
        system.client.delete_function(FunctionName="structured")
        lines = base64.b64decode(answer["LogResult"]).decode().splitlines()
        start, said, report = (json.loads(line) for line in lines)
        request_id = answer["ResponseMetadata"]["RequestId"]
        assert (start["type"], report["type"]) == ("platform.start", "platform.report")
        assert (said["level"], said["message"], said["requestId"]) == ("ERROR", "look here", request_id)
        assert report["record"]["metrics"]["memorySizeMB"] == 128
        assert json.loads(answer["Payload"].read()) == ["/all/in/one", "/all/in/one"]


@pytest.mark.usefixtures("running_system")
class TestFunctionErrors:
    def test_an_exception_is_a_document_with_its_trace(self, system: LiveSystem) -> None:
        document = failing_call(system, NAME, {"do": "raise", "message": "no good"})
        assert (document["errorType"], document["errorMessage"]) == ("ValueError", "no good")
        assert 'raise ValueError(event.get("message", "bad"))' in "".join(document["stackTrace"])

    def test_a_timeout_says_how_long_it_was(self, system: LiveSystem) -> None:
        answer = system.client.invoke(
            FunctionName=NAME, LogType="Tail", Payload=json.dumps({"do": "sleep", "seconds": 60})
        )
        request_id = answer["ResponseMetadata"]["RequestId"]
        assert json.loads(answer["Payload"].read()) == {
            "errorType": "Sandbox.Timedout",
            "errorMessage": f"RequestId: {request_id} Error: Task timed out after 3.00 seconds",
        }
        assert (
            f"{request_id} Task timed out after 3.00 seconds"
            in base64.b64decode(answer["LogResult"]).decode()
        )

    @pytest.mark.parametrize(
        ("status", "reason"),
        [(0, "exited without providing a reason"), (7, "exited with error: exit status 7")],
    )
    def test_an_exit_is_told(self, system: LiveSystem, status: int, reason: str) -> None:
        document = failing_call(system, NAME, {"do": "exit", "status": status})
        assert document["errorType"] == "Runtime.ExitError"
        assert document["errorMessage"].endswith(f"Error: Runtime {reason}")
        assert call(system, NAME, {"after": 1}) == {"after": 1}

    def test_a_response_above_the_limit_is_refused(self, system: LiveSystem) -> None:
        document = failing_call(system, NAME, {"do": "big", "bytes": 6_291_557})
        assert document["errorType"] == "Function.ResponseSizeTooLarge"

    @pytest.mark.parametrize(
        ("code", "error_type"),
        [
            (b"import nothing_like_it\n", "Runtime.ImportModuleError"),
            (b"def other(event, context): ...\n", "Runtime.HandlerNotFound"),
            (b"def handler(event, context) return\n", "Runtime.UserCodeSyntaxError"),
            (b"import os\nos._exit(3)\n", "Runtime.ExitError"),
        ],
    )
    def test_code_that_does_not_load_says_why(
        self, system: LiveSystem, function_name: str, code: bytes, error_type: str
    ) -> None:
        deploy(system, function_name, code)
        assert failing_call(system, function_name, {})["errorType"] == error_type

    def test_files_named_like_the_platform_s_packages_are_the_function_s(
        self, system: LiveSystem, function_name: str
    ) -> None:
        files = {
            f"{name}.py": b"MINE = True\n" for name in ("worker", "broker", "gateway", "triggers", "deploy")
        }
        files["app.py"] = (
            b"import worker, broker, gateway, triggers, deploy\n"
            b"def handler(event, context):\n"
            b"    return all(m.MINE for m in (worker, broker, gateway, triggers, deploy))\n"
        )
        system.deploy(function_name, package(files))
        assert call(system, function_name, {}) is True


@pytest.mark.usefixtures("running_system")
class TestRefusals:
    def refused(self, system: LiveSystem, status: int, **arguments: Any) -> ClientError:
        with pytest.raises(ClientError) as refusal:
            system.client.invoke(**{"FunctionName": NAME, **arguments})
        assert refusal.value.response["ResponseMetadata"]["HTTPStatusCode"] == status
        return refusal.value

    def test_an_unknown_function_is_not_found(self, system: LiveSystem) -> None:
        error = self.refused(system, 404, FunctionName="nobody").response["Error"]
        assert error["Code"] == "ResourceNotFoundException"
        assert error["Message"] == (
            "Function not found: arn:aws:lambda:us-east-1:123456789012:function:nobody"
        )

    def test_an_unknown_qualifier_is_not_found(self, system: LiveSystem) -> None:
        assert "function:everything:9" in str(self.refused(system, 404, Qualifier="9"))

    def test_a_payload_that_is_no_json_is_refused(self, system: LiveSystem) -> None:
        error = self.refused(system, 400, Payload=b"{nonsense").response["Error"]
        assert error["Code"] == "InvalidRequestContentException"

    @pytest.mark.parametrize(("kind", "size"), [("RequestResponse", 6_291_457), ("Event", 1_048_577)])
    def test_a_payload_above_the_limit_is_refused(self, system: LiveSystem, kind: str, size: int) -> None:
        payload = b'"' + b"x" * (size - 2) + b'"'
        error = self.refused(system, 413, InvocationType=kind, Payload=payload).response["Error"]
        assert error["Code"] == "RequestTooLargeException"


@pytest.mark.usefixtures("running_system")
class TestThrottling:
    def test_calls_above_the_reserved_concurrency_are_throttled(self, system: LiveSystem) -> None:
        with reserved(system, NAME, 2), ThreadPoolExecutor(8) as callers:
            running = [callers.submit(call, system, NAME, {"do": "sleep", "seconds": 1.5}) for _ in range(2)]
            for _ in attempts("two calls that run"):
                if signed_get(system, "/lightswitch/v1/depth")["running"] >= 2:
                    break
            with pytest.raises(ClientError) as refusal:
                call(system, NAME, {})
            throttled = refusal.value.response
            assert throttled["ResponseMetadata"]["HTTPStatusCode"] == 429
            assert throttled["Error"]["Code"] == "TooManyRequestsException"
            assert throttled["Reason"] == "ReservedFunctionConcurrentInvocationLimitExceeded"
            assert "retry-after" in throttled["ResponseMetadata"]["HTTPHeaders"]
            assert [future.result() for future in running] == ["slept", "slept"]
            assert call(system, NAME, {"free": "again"}) == {"free": "again"}

    def test_one_caller_at_a_time_is_never_throttled(self, system: LiveSystem) -> None:
        with reserved(system, NAME, 1):
            for number in range(200):
                assert call(system, NAME, {"n": number}) == {"n": number}

    def test_no_concurrency_at_all_throttles_every_call(self, system: LiveSystem) -> None:
        with reserved(system, NAME, 0), pytest.raises(ClientError, match="Rate Exceeded"):
            call(system, NAME, {})


@pytest.mark.usefixtures("running_system")
class TestVersionsAndAliases:
    def test_versions_run_their_own_code_and_aliases_share_the_calls(
        self, system: LiveSystem, function_name: str
    ) -> None:
        client = system.client
        for number in (1, 2):
            code = package(
                {"app.py": f"def handler(e, c):\n    return [{number}, c.function_version]\n".encode()}
            )
            if number == 1:
                system.deploy(function_name, code)
            else:
                client.update_function_code(FunctionName=function_name, ZipFile=code)
            client.publish_version(FunctionName=function_name)
        assert call(system, function_name, {}, Qualifier="1") == [1, "1"]
        assert call(system, f"{function_name}:2", {}) == [2, "2"]
        client.create_alias(
            FunctionName=function_name,
            Name="live",
            FunctionVersion="1",
            RoutingConfig={"AdditionalVersionWeights": {"2": 0.5}},
        )
        drawn = [call(system, function_name, {}, Qualifier="live")[1] for _ in range(60)]
        assert 10 < drawn.count("2") < 50
        client.update_alias(
            FunctionName=function_name,
            Name="live",
            FunctionVersion="2",
            RoutingConfig={"AdditionalVersionWeights": {}},
        )
        answer = client.invoke(FunctionName=function_name, Qualifier="live", Payload=b"{}")
        assert answer["ExecutedVersion"] == "2"


@pytest.mark.usefixtures("running_system")
class TestOtherRuntimes:
    def test_a_shell_script_is_a_function(self, system: LiveSystem, function_name: str) -> None:
        script = b"""#!/bin/sh
api="http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation"
exec /usr/bin/python3 -c '
import os, urllib.request
api = "http://" + os.environ["AWS_LAMBDA_RUNTIME_API"] + "/2018-06-01/runtime/invocation"
while True:
    with urllib.request.urlopen(api + "/next") as work:
        request_id, event = work.headers["Lambda-Runtime-Aws-Request-Id"], work.read()
    urllib.request.urlopen(api + "/" + request_id + "/response", data=event).close()
'
"""
        system.deploy(function_name, package({"bootstrap": script}), runtime="provided.al2023")
        for number in range(3):
            assert call(system, function_name, {"n": number}) == {"n": number}
