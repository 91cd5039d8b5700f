"""A handler written with aws-lambda-go, built as `bootstrap`, in a running system."""

from __future__ import annotations

from tests.acceptance.functions import call, failing_call
from tests.deployment_packages import package
from tests.live_system import LiveSystem


def test_a_handler_of_aws_lambda_go_answers_and_fails_as_on_lambda(
    running_system: LiveSystem, function_name: str, greeter: bytes
) -> None:
    code = package({"bootstrap": greeter})
    running_system.deploy(function_name, code, runtime="provided.al2023")
    answers = [call(running_system, function_name, {"name": name}) for name in ("Ada", "Grace")]
    assert [answer["greeting"] for answer in answers] == ["hello Ada", "hello Grace"]
    assert len({answer["request_id"] for answer in answers}) == 2
    assert {answer["function"] for answer in answers} == {function_name}
    document = failing_call(running_system, function_name, {})
    assert document == {"errorMessage": "nobody to greet", "errorType": "errorString"}


def test_a_layer_may_bring_the_bootstrap(
    running_system: LiveSystem, function_name: str, greeter: bytes
) -> None:
    layer = running_system.client.publish_layer_version(
        LayerName=function_name, Content={"ZipFile": package({"bootstrap": greeter})}
    )
    code = package({"settings": b"none"})
    layers = [layer["LayerVersionArn"]]
    running_system.deploy(function_name, code, runtime="provided.al2023", Layers=layers)
    assert call(running_system, function_name, {"name": "Ada"})["greeting"] == "hello Ada"
