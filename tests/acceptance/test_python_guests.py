"""Python packages that nobody here wrote, unmodified from PyPI, in functions' real sandboxes."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from tests.deployment_packages import package
from tests.installed_packages import files_of
from tests.live_system import LiveSystem
from tests.s3_server import S3Server

GUESTS = Path(__file__).parent / "guests"
POWERTOOLS = ("aws-lambda-powertools", "jmespath", "typing-extensions")
FASTAPI = (
    *("fastapi", "mangum", "starlette", "anyio", "idna", "typing-extensions", "typing-inspection"),
    *("pydantic", "pydantic-core", "annotated-types", "annotated-doc", "opentelemetry-api"),
)


def guest(source: str, *distributions: str) -> bytes:
    return package({"app.py": (GUESTS / source).read_bytes(), **files_of(*distributions)})


def invoke(system: LiveSystem, name: str, event: Any, qualifier: str = "$LATEST") -> tuple[Any, list[str]]:
    """The response, and the lines of its log."""
    answer = system.client.invoke(
        FunctionName=name, Qualifier=qualifier, Payload=json.dumps(event), LogType="Tail"
    )
    log = base64.b64decode(answer["LogResult"]).decode()
    body = json.loads(answer["Payload"].read())
    assert "FunctionError" not in answer, (body, log)
    return body, log.splitlines()


def request(method: str, path: str, body: Any = None, query: str = "") -> dict[str, Any]:
    """What an HTTP API sends (payload format 2.0)."""
    http = {"method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "1.2.3.4", "userAgent": "t"}
    return {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": query,
        "headers": {"content-type": "application/json", "host": "example.com"},
        "requestContext": {"http": http, "stage": "$default", "domainName": "example.com"},
        "body": None if body is None else json.dumps(body),
        "isBase64Encoded": False,
    }


def test_fastapi_under_mangum_as_usual_and_restored_with_snap_start(
    running_system: LiveSystem, function_name: str
) -> None:
    code = guest("fastapi_app.py", *FASTAPI)
    applied = {"ApplyOn": "PublishedVersions"}
    running_system.deploy(function_name, code, MemorySize=1769, SnapStart=applied)
    version = running_system.client.publish_version(FunctionName=function_name)["Version"]
    waiter = running_system.client.get_waiter("published_version_active")
    waiter.wait(FunctionName=function_name, Qualifier=version)

    for qualifier in ("$LATEST", version):
        order = {"name": "tea", "count": 2, "tags": ["green"]}
        made, log = invoke(running_system, function_name, request("POST", "/x/orders", order), qualifier)
        assert (made["statusCode"], json.loads(made["body"])) == (201, {"order": order, "asked": 36})
        assert ("Restore Duration" in log[-1]) == (qualifier == version)
        wrong, _ = invoke(
            running_system, function_name, request("POST", "/x/orders", {"count": 0}), qualifier
        )
        assert wrong["statusCode"] == 422
        fields = {tuple(each["loc"]) for each in json.loads(wrong["body"])["detail"]}
        assert fields == {("body", "name"), ("body", "count")}
        found, _ = invoke(
            running_system, function_name, request("GET", "/x/orders/7", query="limit=3"), qualifier
        )
        assert json.loads(found["body"]) == {"order": 7, "limit": 3}
        missing, _ = invoke(running_system, function_name, request("GET", "/x/orders/0"), qualifier)
        assert (missing["statusCode"], json.loads(missing["body"])) == (404, {"detail": "no such order"})


def test_powertools_logs_measures_and_leaves_tracing_off(
    running_system: LiveSystem, function_name: str
) -> None:
    variables = {
        "POWERTOOLS_SERVICE_NAME": "orders",
        "POWERTOOLS_METRICS_NAMESPACE": "shop",
        "POWERTOOLS_TRACE_DISABLED": "true",
    }
    running_system.deploy(
        function_name,
        guest("observed_app.py", *POWERTOOLS, "aws-xray-sdk", "wrapt"),
        MemorySize=512,
        Environment={"Variables": variables},
    )

    lines: list[list[dict[str, Any]]] = []
    for _ in range(2):
        body, log = invoke(running_system, function_name, {"prices": [1.5, 2], "order": "o-1"})
        assert body == {"amount": 3.5}
        request_id = log[0].split()[2]
        lines.append([json.loads(line) for line in log if line.startswith("{")])
        [counted] = [line for line in lines[-1] if line.get("message") == "counted"]
        assert counted["service"] == "orders"
        assert counted["function_request_id"] == request_id
        assert counted["function_name"] == function_name
        assert (counted["function_memory_size"], counted["correlation_id"]) == ("512", "o-1")
        assert counted["amount"] == 3.5
        [metric] = [line for line in lines[-1] if "Amount" in line]
        assert (metric["Amount"], metric["kind"]) == ([3.5], "test")
        assert metric["_aws"]["CloudWatchMetrics"][0]["Namespace"] == "shop"
    cold = [[line["cold_start"] for line in of_one if "cold_start" in line] for of_one in lines]
    assert cold == [[True], [False]]
    assert [any("ColdStart" in line for line in of_one) for of_one in lines] == [True, False]


@pytest.fixture
def with_tables(s3_server: S3Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveSystem]:
    """A system beside a server that has DynamoDB."""
    keys = {"ACCESS_KEY_ID": "test", "SECRET_ACCESS_KEY": "test"}
    variables = {
        "AWS_ENDPOINT_URL": s3_server.url,
        **{f"AWS_{name}": value for name, value in keys.items()},
        **{f"LIGHTSWITCH_FUNCTION_{name}": value for name, value in keys.items()},
    }
    directory = tmp_path_factory.mktemp("tables") / "data"
    with LiveSystem(directory, ["--workers", "1"], variables=variables) as system:
        yield system


def test_powertools_does_work_once(with_tables: LiveSystem, s3_server: S3Server, function_name: str) -> None:
    dynamodb = boto3.client(
        "dynamodb",
        endpoint_url=s3_server.url,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )
    dynamodb.create_table(
        TableName=function_name,
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    with_tables.deploy(
        function_name,
        guest("idempotent_app.py", *POWERTOOLS),
        MemorySize=512,
        Environment={"Variables": {"TABLE": function_name}},
    )

    first, again, other = [
        invoke(with_tables, function_name, {"payment": payment})[0] for payment in ("p-1", "p-1", "p-2")
    ]
    declined = [
        with_tables.client.invoke(FunctionName=function_name, Payload=json.dumps({"payment": "p-3", **more}))
        for more in ({"fail": True}, {})
    ]

    assert first == again != other
    assert [answer.get("FunctionError") for answer in declined] == ["Unhandled", None]
    assert dynamodb.scan(TableName=function_name)["Count"] == 3
