"""What frameworks that manage functions ask and say about each: code signing, runtime updates, logging."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.integration.gateway.conftest import ARN, Refused

SIGNING = "arn:aws:lambda:us-east-1:123456789012:code-signing-config:csc-0123456789abcdef0"


@pytest.fixture
def function(create: Callable[..., dict[str, Any]], name: str) -> str:
    create(Publish=True)
    return name


def without_metadata(answer: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in answer.items() if key != "ResponseMetadata"}


def test_a_function_has_no_code_signing_config(function: str, client: Any, refused: Refused) -> None:
    found = client.get_function_code_signing_config(FunctionName=function)
    assert without_metadata(found) == {"FunctionName": function}
    deleted = client.delete_function_code_signing_config(FunctionName=function)
    assert deleted["ResponseMetadata"]["HTTPStatusCode"] == 204
    put = refused("put_function_code_signing_config", FunctionName=function, CodeSigningConfigArn=SIGNING)
    assert (put["type"], put["status"]) == ("CodeSigningConfigNotFoundException", 404)
    assert put["message"].endswith(f"is not deleted: {SIGNING}.")
    missing = refused("get_function_code_signing_config", FunctionName="nobody")
    assert missing["message"] == f"Function not found: {ARN}:nobody"


def test_there_are_no_code_signing_configs(client: Any, refused: Refused) -> None:
    assert client.list_code_signing_configs()["CodeSigningConfigs"] == []
    for operation in (
        "get_code_signing_config",
        "update_code_signing_config",
        "delete_code_signing_config",
        "list_functions_by_code_signing_config",
    ):
        answer = refused(operation, CodeSigningConfigArn=SIGNING)
        assert (answer["type"], answer["status"]) == ("ResourceNotFoundException", 404)
        assert answer["message"] == f"The Lambda code signing configuration {SIGNING} can not be found."


def test_runtimes_are_updated_automatically_unless_it_is_chosen_otherwise(function: str, client: Any) -> None:
    found = client.get_runtime_management_config(FunctionName=function)
    assert without_metadata(found) == {"UpdateRuntimeOn": "Auto", "FunctionArn": f"{ARN}:{function}"}
    put = client.put_runtime_management_config(FunctionName=function, UpdateRuntimeOn="FunctionUpdate")
    assert without_metadata(put) == {"UpdateRuntimeOn": "FunctionUpdate", "FunctionArn": f"{ARN}:{function}"}
    again = client.get_runtime_management_config(FunctionName=function)
    assert again["UpdateRuntimeOn"] == "FunctionUpdate"


def test_each_version_may_keep_the_runtime_that_it_has(function: str, client: Any, refused: Refused) -> None:
    configuration = client.get_function_configuration(FunctionName=function, Qualifier="1")
    version_arn = configuration["RuntimeVersionConfig"]["RuntimeVersionArn"]
    request = {"FunctionName": function, "Qualifier": "1", "UpdateRuntimeOn": "Manual"}
    put = client.put_runtime_management_config(**request, RuntimeVersionArn=version_arn)
    expected = {
        "UpdateRuntimeOn": "Manual",
        "FunctionArn": f"{ARN}:{function}:1",
        "RuntimeVersionArn": version_arn,
    }
    assert without_metadata(put) == expected
    found = client.get_runtime_management_config(FunctionName=function, Qualifier="1")
    assert without_metadata(found) == expected
    assert client.get_runtime_management_config(FunctionName=function)["UpdateRuntimeOn"] == "Auto"
    other = refused("put_runtime_management_config", **request, RuntimeVersionArn=version_arn[:-1] + "z")
    assert (other["type"], other["status"]) == ("InvalidParameterValueException", 400)
    assert version_arn in other["message"]
    assert refused("put_runtime_management_config", **request)["status"] == 400


def test_a_runtime_management_config_is_of_a_version_that_is_there(function: str, refused: Refused) -> None:
    for operation, members in (
        ("get_runtime_management_config", {}),
        ("put_runtime_management_config", {"UpdateRuntimeOn": "Auto"}),
    ):
        missing = refused(operation, FunctionName=function, Qualifier="7", **members)
        assert missing["message"] == f"Function not found: {ARN}:{function}:7"
        alias = refused(operation, FunctionName=function, Qualifier="live", **members)
        assert alias["type"] == "InvalidParameterValueException"


def test_reserved_concurrency_is_shown_with_the_whole_function_alone(function: str, client: Any) -> None:
    client.put_function_concurrency(FunctionName=function, ReservedConcurrentExecutions=3)
    whole = client.get_function(FunctionName=function)
    assert whole["Concurrency"] == {"ReservedConcurrentExecutions": 3}
    assert "Concurrency" not in client.get_function(FunctionName=function, Qualifier="1")


def test_a_logging_config_is_changed_member_by_member(
    create: Callable[..., dict[str, Any]], name: str, client: Any
) -> None:
    created = create(LoggingConfig={"LogFormat": "JSON", "ApplicationLogLevel": "DEBUG"})
    assert created["LoggingConfig"] == {
        "LogFormat": "JSON",
        "ApplicationLogLevel": "DEBUG",
        "SystemLogLevel": "INFO",
        "LogGroup": f"/aws/lambda/{name}",
    }
    changed = client.update_function_configuration(
        FunctionName=name, LoggingConfig={"SystemLogLevel": "WARN", "LogGroup": "/all/in/one"}
    )
    assert changed["LoggingConfig"] == {
        "LogFormat": "JSON",
        "ApplicationLogLevel": "DEBUG",
        "SystemLogLevel": "WARN",
        "LogGroup": "/all/in/one",
    }
    text = client.update_function_configuration(FunctionName=name, LoggingConfig={"LogFormat": "Text"})
    assert text["LoggingConfig"] == {"LogFormat": "Text", "LogGroup": "/all/in/one"}


def test_lines_of_text_have_no_levels(create: Callable[..., Any], client: Any, refused: Refused) -> None:
    name = create()["FunctionName"]
    answer = refused(
        "update_function_configuration", FunctionName=name, LoggingConfig={"SystemLogLevel": "WARN"}
    )
    assert (answer["type"], answer["status"]) == ("InvalidParameterValueException", 400)
    assert "LogFormat JSON" in answer["message"]
