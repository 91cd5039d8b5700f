"""From HTTP to parameters and back, as the service model says."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from gateway.errors import ApiError
from gateway.lambda_api import errors
from gateway.lambda_api.model import load_model
from gateway.lambda_api.operations import OPERATIONS
from gateway.lambda_api.parsing import parse_query, parse_request
from gateway.lambda_api.router import Route, Router
from gateway.lambda_api.serialization import serialize
from gateway.lambda_api.validation import validate

VALUE = "1 validation error detected: Value"
MUST = "failed to satisfy constraint: Member must"
FUNCTIONS = "/2015-03-31/functions"
PROVISIONED = "/2019-09-30/functions/f/provisioned-concurrency"


@pytest.fixture(scope="module")
def model() -> Any:
    return load_model()


@pytest.fixture(scope="module")
def router(model: Any) -> Router:
    return Router(model)


def route(router: Router, method: str, target: str) -> Route | None:
    path, _, query = target.partition("?")
    return router.match(method, path.encode(), parse_query(query.encode()))


@pytest.mark.parametrize(
    ("method", "target", "operation", "uri"),
    [
        ("GET", FUNCTIONS, "ListFunctions", {}),
        ("GET", f"{FUNCTIONS}/", "ListFunctions", {}),
        ("POST", f"{FUNCTIONS}/", "CreateFunction", {}),
        ("GET", f"{FUNCTIONS}/a%3Ab/configuration", "GetFunctionConfiguration", {"FunctionName": "a:b"}),
        ("GET", f"{FUNCTIONS}/a%2Fb", "GetFunction", {"FunctionName": "a/b"}),
        ("PUT", f"{FUNCTIONS}/f/aliases/live", "UpdateAlias", {"FunctionName": "f", "Name": "live"}),
        ("DELETE", "/2017-03-31/tags/arn%3Aaws", "UntagResource", {"Resource": "arn:aws"}),
        ("GET", "/2018-10-31/layers", "ListLayers", {}),
        ("GET", "/2018-10-31/layers?find=LayerVersion&Arn=x", "GetLayerVersionByArn", {}),
        ("GET", f"{PROVISIONED}?List=ALL", "ListProvisionedConcurrencyConfigs", {"FunctionName": "f"}),
        ("GET", f"{PROVISIONED}?Qualifier=1", "GetProvisionedConcurrencyConfig", {"FunctionName": "f"}),
    ],
)
def test_paths_lead_to_operations(
    router: Router, method: str, target: str, operation: str, uri: dict[str, str]
) -> None:
    found = route(router, method, target)
    assert found is not None
    assert (found.operation.name, dict(found.uri)) == (operation, uri)


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("GET", "/"),
        ("PATCH", "/2015-03-31/functions"),
        ("GET", "/2015-03-31/functions//configuration"),
        ("GET", "/2015-03-31/nothing"),
        ("GET", "/1999-01-01/functions"),
        ("GET", "/2015-03-31/functions/f/configuration/more"),
    ],
)
def test_other_paths_lead_nowhere(router: Router, method: str, target: str) -> None:
    assert route(router, method, target) is None


def test_every_operation_of_the_model_has_a_route(model: Any, router: Router) -> None:
    for name in model.operation_names:
        operation = model.operation_model(name)
        target = operation.http["requestUri"].replace("{", "").replace("}", "")
        found = route(router, operation.http["method"], target)
        assert found is not None
        assert found.operation.name == name


def test_every_operation_that_is_built_is_in_the_model(model: Any) -> None:
    assert set(OPERATIONS) <= set(model.operation_names)


def parse(model: Any, name: str, **parts: Any) -> dict[str, Any]:
    operation = model.operation_model(name)
    return parse_request(
        operation,
        parts.get("uri", {}),
        parse_query(parts.get("query", b"")),
        parts.get("headers", {}),
        parts["body"] if "body" in parts else json.dumps(parts.get("json", {})).encode(),
    )


def test_parameters_are_taken_from_path_query_and_body(model: Any) -> None:
    assert parse(
        model,
        "AddPermission",
        uri={"FunctionName": "f"},
        query=b"Qualifier=live",
        json={"StatementId": "s", "Action": "lambda:InvokeFunction", "Principal": "*", "Unknown": 1},
    ) == {
        "FunctionName": "f",
        "Qualifier": "live",
        "StatementId": "s",
        "Action": "lambda:InvokeFunction",
        "Principal": "*",
    }


def test_numbers_lists_blobs_and_payloads_get_their_types(model: Any) -> None:
    assert parse(model, "ListFunctions", query=b"MaxItems=7&Marker=a%20b%2B") == {
        "MaxItems": 7,
        "Marker": "a b+",
    }
    assert parse(model, "UntagResource", uri={"Resource": "r"}, query=b"tagKeys=a&tagKeys=b") == {
        "Resource": "r",
        "TagKeys": ["a", "b"],
    }
    code = {"Code": {"ZipFile": base64.b64encode(b"PK").decode(), "S3Key": None}, "Timeout": 3.0}
    assert parse(model, "CreateFunction", json=code) == {"Code": {"ZipFile": b"PK"}, "Timeout": 3}
    invoke = parse(
        model, "Invoke", uri={"FunctionName": "f"}, headers={"x-amz-log-type": "Tail"}, body=b"\x00raw"
    )
    assert invoke == {"FunctionName": "f", "LogType": "Tail", "Payload": b"\x00raw"}


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"{", "Could not parse request body into json"),
        (b"[]", "START_ARRAY found where the start of a structure was expected"),
        (b'{"Timeout": NaN}', "NaN is no number of JSON"),
        (b'{"Timeout": "3"}', "STRING_VALUE can not be converted to an Integer"),
        (b'{"Timeout": 3.5}', "NUMBER_VALUE can not be converted to an Integer"),
        (b'{"Timeout": true}', "TRUE_VALUE can not be converted to an Integer"),
        (b'{"FunctionName": 7}', "NUMBER_VALUE can not be converted to a String"),
        (b'{"Publish": "yes"}', "STRING_VALUE can not be converted to a Boolean"),
        (b'{"Layers": "x"}', "STRING_VALUE found where the start of a list was expected"),
        (b'{"Environment": []}', "START_ARRAY found where the start of a structure or map was expected"),
        (b'{"Tags": {"a": {}}}', "START_OBJECT can not be converted to a String"),
        (b'{"Code": {"ZipFile": "*"}}', "not encoded in base64"),
        (b'{"Description": "\\ud800"}', "A string is no valid Unicode"),
        (b"[" * 100_000, "Could not parse request body into json"),
    ],
)
def test_wrong_types_are_serialization_errors(model: Any, body: bytes, words: str) -> None:
    with pytest.raises(ApiError) as refused:
        parse(model, "CreateFunction", body=body)
    assert (refused.value.error_type, refused.value.status) == ("SerializationException", 400)
    assert words in refused.value.message


def test_a_query_parameter_of_the_wrong_type_is_refused(model: Any) -> None:
    with pytest.raises(ApiError, match="'many' can not be converted to an Integer"):
        parse(model, "ListFunctions", query=b"MaxItems=many")


CREATE = {
    "FunctionName": "hello",
    "Role": "arn:aws:iam::123456789012:role/r",
    "Code": {"ZipFile": b"x"},
    "Runtime": "python3.12",
    "Handler": "app.handler",
}


def told(model: Any, operation: str, parameters: dict[str, Any]) -> str:
    with pytest.raises(ApiError) as refused:
        validate(model.operation_model(operation).input_shape, parameters)
    assert (refused.value.error_type, refused.value.status) == ("ValidationException", 400)
    return refused.value.message


def test_what_holds_to_the_model_passes(model: Any) -> None:
    shape = model.operation_model("CreateFunction").input_shape
    validate(shape, CREATE)
    validate(shape, {**CREATE, "Tags": {"Größe": "名前 1"}, "Environment": {"Variables": {"AB": "x"}}})
    validate(None, {})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"Role": "role/r"},
            f"{VALUE} 'role/r' at 'role' {MUST} satisfy regular expression pattern:"
            r" arn:(aws[a-zA-Z-]*)?:iam::\d{12}:role/?[a-zA-Z_0-9+=,.@\-_/]+",
        ),
        ({"Timeout": 901}, f"{VALUE} '901' at 'timeout' {MUST} have value less than or equal to 900"),
        (
            {"MemorySize": 127},
            f"{VALUE} '127' at 'memorySize' {MUST} have value greater than or equal to 128",
        ),
        (
            {"MemorySize": 10241},
            f"{VALUE} '10241' at 'memorySize' {MUST} have value less than or equal to 10240",
        ),
        (
            {"PackageType": "Tar"},
            f"{VALUE} 'Tar' at 'packageType' {MUST} satisfy enum value set: [Zip, Image]",
        ),
        (
            {"Architectures": ["x86_64", "arm64"]},
            f"{VALUE} '[x86_64, arm64]' at 'architectures' {MUST} have length less than or equal to 1",
        ),
        (
            {"Architectures": ["mips"]},
            f"{VALUE} '[mips]' at 'architectures' {MUST} satisfy constraint:"
            " [Member must satisfy enum value set: [x86_64, arm64], Member must not be null]",
        ),
        (
            {"Environment": {"Variables": {"1A": "secret"}}},
            f"{VALUE} at 'environment.variables' failed to satisfy constraint: Map keys must satisfy"
            " constraint: [Member must satisfy regular expression pattern: [a-zA-Z]([a-zA-Z0-9_])+,"
            " Member must not be null]",
        ),
        (
            {"Code": {"S3Bucket": "ab"}},
            f"{VALUE} 'ab' at 'code.s3Bucket' {MUST} have length greater than or equal to 3",
        ),
        (
            {"FileSystemConfigs": [{"LocalMountPath": "/mnt/a"}]},
            f"{VALUE} null at 'fileSystemConfigs.1.member.arn' {MUST} not be null",
        ),
        (
            {"Description": "x" * 257},
            f"{VALUE} '{'x' * 256}...' at 'description' {MUST} have length less than or equal to 256",
        ),
    ],
)
def test_broken_constraints_are_told_in_the_words_of_aws(
    model: Any, change: dict[str, Any], message: str
) -> None:
    assert told(model, "CreateFunction", {**CREATE, **change}) == message


@pytest.mark.parametrize(
    ("weights", "shown", "constraint"),
    [
        (
            {"2": 2.0},
            "{2=2.0}",
            "Map value must satisfy constraint: [Member must have value less than or equal to 1.0,"
            " Member must have value greater than or equal to 0.0, Member must not be null]",
        ),
        (
            {"$LATEST": 0.5},
            "{$LATEST=0.5}",
            "Map keys must satisfy constraint: [Member must have length less than or equal to 1024,"
            " Member must have length greater than or equal to 1, Member must satisfy regular expression"
            " pattern: [0-9]+, Member must not be null]",
        ),
    ],
)
def test_weights_of_an_alias_are_checked_like_on_aws(
    model: Any, weights: dict[str, float], shown: str, constraint: str
) -> None:
    parameters = {
        "FunctionName": "f",
        "Name": "live",
        "FunctionVersion": "1",
        "RoutingConfig": {"AdditionalVersionWeights": weights},
    }
    place = "routingConfig.additionalVersionWeights"
    assert told(model, "CreateAlias", parameters) == (
        f"{VALUE} '{shown}' at '{place}' failed to satisfy constraint: {constraint}"
    )


def test_all_that_is_wrong_is_told_at_once(model: Any) -> None:
    message = told(model, "CreateFunction", {"FunctionName": "hello", "Timeout": 0})
    assert message.startswith("3 validation errors detected: Value null at 'role'")
    assert "; Value null at 'code' failed to satisfy constraint: Member must not be null" in message
    assert "; Value '0' at 'timeout'" in message


def test_every_pattern_of_the_model_can_be_checked(model: Any) -> None:
    refused = set()
    for name in model.shape_names:
        shape = model.shape_for(name)
        if "pattern" in shape.metadata:
            try:
                validate(_Holder(shape), {"Member": "\n"})
            except ApiError:
                refused.add(name)
    assert {"FunctionName", "TagKey", "S3Bucket", "Principal", "DestinationArn"} <= refused


class _Holder:
    """A structure with one member of some shape."""

    type_name = "structure"
    required_members: tuple[str, ...] = ()

    def __init__(self, shape: Any) -> None:
        self.members = {"Member": shape}


def test_results_are_placed_as_the_model_says(model: Any) -> None:
    created = serialize(model.operation_model("CreateFunction"), {"FunctionName": "f", "Handler": None}, "id")
    assert (created.status, json.loads(created.body)) == (201, {"FunctionName": "f"})
    assert (b"x-amzn-requestid", b"id") in created.headers
    deleted = serialize(model.operation_model("DeleteAlias"), {}, "id")
    assert (deleted.status, deleted.body) == (204, b"")
    with_status = serialize(model.operation_model("DeleteFunction"), {"StatusCode": 204}, "id")
    assert (with_status.status, with_status.body) == (204, b"")
    put = serialize(
        model.operation_model("PutFunctionEventInvokeConfig"),
        {"LastModified": 1700000000.5, "DestinationConfig": {"OnSuccess": {"Destination": None}}},
        "id",
    )
    assert json.loads(put.body) == {"LastModified": 1700000000.5, "DestinationConfig": {"OnSuccess": {}}}


def test_a_member_that_the_model_does_not_know_is_a_mistake(model: Any) -> None:
    with pytest.raises(KeyError):
        serialize(model.operation_model("GetAlias"), {"Nmae": "x"}, "id")


@pytest.mark.parametrize(
    "error",
    [
        errors.invalid_parameter(""),
        errors.not_found(""),
        errors.conflict(""),
        errors.precondition_failed(),
        errors.policy_too_long(""),
        errors.throttled(),
        errors.unavailable(""),
    ],
    ids=lambda error: error.error_type,
)
def test_errors_have_the_status_and_members_of_the_model(model: Any, error: ApiError) -> None:
    shape = model.shape_for(error.error_type)
    assert error.status == shape.metadata["error"]["httpStatusCode"]
    body = json.loads(error.body())
    assert error.message_member in shape.members
    assert set(body) <= set(shape.members)
    assert dict(error.raw_headers("id"))[b"x-amzn-errortype"].decode() == error.error_type
