"""Functions through boto3: created, read, listed, updated and deleted."""

from __future__ import annotations

import base64
import hashlib
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.integration.gateway.conftest import ARN, ROLE, Refused, RunningGateway, zipped

Create = Callable[..., dict[str, Any]]


def test_a_function_is_created_as_on_aws(create: Create, name: str) -> None:
    created = create(Description="echo", Timeout=7, Environment={"Variables": {"STAGE": "test"}})
    metadata = created.pop("ResponseMetadata")
    assert metadata["HTTPStatusCode"] == 201
    assert len(created.pop("RevisionId")) == 36
    assert created.pop("LastModified").endswith("+0000")
    assert created.pop("RuntimeVersionConfig")["RuntimeVersionArn"].startswith(
        "arn:aws:lambda:us-east-1::runtime:"
    )
    assert created == {
        "FunctionName": name,
        "FunctionArn": f"{ARN}:{name}",
        "Runtime": "python3.12",
        "Role": ROLE,
        "Handler": "app.handler",
        "CodeSize": len(zipped()),
        "CodeSha256": base64.b64encode(hashlib.sha256(zipped()).digest()).decode(),
        "Description": "echo",
        "Timeout": 7,
        "MemorySize": 128,
        "Version": "$LATEST",
        "Environment": {"Variables": {"STAGE": "test"}},
        "TracingConfig": {"Mode": "PassThrough"},
        "PackageType": "Zip",
        "Architectures": ["x86_64"],
        "EphemeralStorage": {"Size": 512},
        "SnapStart": {"ApplyOn": "None", "OptimizationStatus": "Off"},
        "LoggingConfig": {"LogFormat": "Text", "LogGroup": f"/aws/lambda/{name}"},
        "State": "Pending",
        "StateReason": "The function is being created.",
        "StateReasonCode": "Creating",
    }


def test_waiters_see_it_active_and_updated(create: Create, client: Any, name: str) -> None:
    create()
    for waiter in ("function_exists", "function_active_v2", "function_updated_v2"):
        client.get_waiter(waiter).wait(FunctionName=name)
    configuration = client.get_function_configuration(FunctionName=name)
    assert (configuration["State"], configuration["LastUpdateStatus"]) == ("Active", "Successful")
    assert "StateReason" not in configuration


def test_get_function_gives_a_link_to_the_code(create: Create, client: Any, name: str) -> None:
    create(Tags={"team": "a"})
    client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=3)
    found = client.get_function(FunctionName=name)
    assert found["Tags"] == {"team": "a"}
    assert found["Concurrency"] == {"ReservedConcurrentExecutions": 3}
    assert found["Code"]["RepositoryType"] == "S3"
    with urllib.request.urlopen(found["Code"]["Location"]) as response:
        assert response.read() == zipped()


@pytest.mark.parametrize("change", [("seal=", "seal=0"), ("expires=", "expires=9"), ("code/", "code/0")])
def test_a_link_cannot_be_made_up(create: Create, client: Any, name: str, change: tuple[str, str]) -> None:
    create()
    location = client.get_function(FunctionName=name)["Code"]["Location"]
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(location.replace(*change))
    assert refused.value.code == 403
    refused.value.close()


@pytest.mark.parametrize(
    "form", ["{name}", "{arn}:{name}", "123456789012:function:{name}", "function:{name}"]
)
def test_every_form_of_a_name_finds_it(create: Create, client: Any, name: str, form: str) -> None:
    create()
    given = form.format(name=name, arn=ARN)
    assert client.get_function_configuration(FunctionName=given)["FunctionArn"] == f"{ARN}:{name}"
    qualified = client.get_function_configuration(FunctionName=f"{given}:$LATEST")
    assert qualified["FunctionArn"] == f"{ARN}:{name}:$LATEST"


def test_an_update_answers_in_progress_and_is_done(create: Create, client: Any, name: str) -> None:
    created = create(Environment={"Variables": {"STAGE": "test"}})
    updated = client.update_function_configuration(
        FunctionName=name,
        MemorySize=512,
        TracingConfig={"Mode": "Active"},
        LoggingConfig={"LogFormat": "JSON"},
        EphemeralStorage={"Size": 1024},
    )
    assert updated["ResponseMetadata"]["HTTPStatusCode"] == 200
    assert (updated["State"], updated["LastUpdateStatus"]) == ("Active", "InProgress")
    assert updated["LastUpdateStatusReasonCode"] == "Creating"
    assert updated["RevisionId"] != created["RevisionId"]
    client.get_waiter("function_updated_v2").wait(FunctionName=name)
    found = client.get_function_configuration(FunctionName=name)
    assert (found["MemorySize"], found["EphemeralStorage"]) == (512, {"Size": 1024})
    assert found["TracingConfig"] == {"Mode": "Active"}
    assert found["LoggingConfig"] == {
        "LogFormat": "JSON",
        "ApplicationLogLevel": "INFO",
        "SystemLogLevel": "INFO",
        "LogGroup": f"/aws/lambda/{name}",
    }
    assert found["Environment"] == {"Variables": {"STAGE": "test"}}
    emptied = client.update_function_configuration(FunctionName=name, Environment={"Variables": {}})
    assert "Environment" not in emptied


def test_new_code_has_a_new_hash(create: Create, client: Any, name: str) -> None:
    created = create()
    package = zipped("def handler(event, context): return 2")
    updated = client.update_function_code(FunctionName=name, ZipFile=package)
    assert updated["LastUpdateStatus"] == "InProgress"
    assert updated["CodeSha256"] == base64.b64encode(hashlib.sha256(package).digest()).decode()
    assert updated["CodeSha256"] != created["CodeSha256"]


def test_a_dry_run_changes_nothing(create: Create, client: Any, name: str, refused: Refused) -> None:
    created = create()
    client.update_function_code(FunctionName=name, ZipFile=zipped("x = 1"), DryRun=True)
    found = client.get_function_configuration(FunctionName=name)
    assert (found["CodeSha256"], found["RevisionId"]) == (created["CodeSha256"], created["RevisionId"])
    answer = refused("update_function_code", FunctionName=name, ZipFile=b"no zip", DryRun=True)
    assert answer["type"] == "InvalidParameterValueException"


def test_an_update_may_publish(create: Create, client: Any, name: str) -> None:
    published = create(Publish=True)
    assert (published["Version"], published["FunctionArn"]) == ("1", f"{ARN}:{name}")
    updated = client.update_function_code(FunctionName=name, ZipFile=zipped("x = 2"), Publish=True)
    assert (updated["Version"], updated["FunctionArn"]) == ("2", f"{ARN}:{name}:2")
    client.get_waiter("published_version_active").wait(FunctionName=name, Qualifier="2")


def test_an_update_of_another_revision_is_refused(
    create: Create, client: Any, name: str, refused: Refused
) -> None:
    old = create()["RevisionId"]
    current = client.update_function_configuration(FunctionName=name, RevisionId=old, Timeout=5)
    for operation, change in (
        ("update_function_configuration", {"Timeout": 6}),
        ("update_function_code", {"ZipFile": zipped()}),
    ):
        answer = refused(operation, FunctionName=name, RevisionId=old, **change)
        assert (answer["type"], answer["status"]) == ("PreconditionFailedException", 412)
    client.update_function_code(FunctionName=name, RevisionId=current["RevisionId"], ZipFile=zipped("x = 3"))


def test_functions_are_listed_in_pages(gateway: RunningGateway, create: Create, client: Any) -> None:
    names = [f"page-{number:03}" for number in range(5)]
    for number, name in enumerate(names):
        create(FunctionName=name, Publish=number % 2 == 0)
    pages = client.get_paginator("list_functions").paginate(PaginationConfig={"PageSize": 2})
    listed = [function for page in pages for function in page["Functions"]]
    found = [f["FunctionName"] for f in listed if f["FunctionName"].startswith("page-")]
    assert found == names
    assert all("State" not in function for function in listed)
    pages = client.get_paginator("list_functions").paginate(
        FunctionVersion="ALL", PaginationConfig={"PageSize": 3}
    )
    versions = [
        f["FunctionArn"].removeprefix(f"{ARN}:")
        for page in pages
        for f in page["Functions"]
        if f["FunctionName"].startswith("page-")
    ]
    expected = [
        f"{name}:{version}"
        for number, name in enumerate(names)
        for version in (("$LATEST", "1") if number % 2 == 0 else ("$LATEST",))
    ]
    assert versions == expected


def test_a_deleted_function_is_gone(create: Create, client: Any, name: str, refused: Refused) -> None:
    create()
    deleted = client.delete_function(FunctionName=name)
    assert deleted["ResponseMetadata"]["HTTPStatusCode"] == 204
    assert refused("get_function", FunctionName=name) == {
        "type": "ResourceNotFoundException",
        "status": 404,
        "message": f"Function not found: {ARN}:{name}",
    }
    create()


def test_versions_are_deleted_one_by_one(create: Create, client: Any, name: str, refused: Refused) -> None:
    create(Publish=True)
    client.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
    answer = refused("delete_function", FunctionName=name, Qualifier="1")
    assert (answer["type"], answer["status"]) == ("ResourceConflictException", 409)
    assert "[live]" in answer["message"]
    answer = refused("delete_function", FunctionName=name, Qualifier="$LATEST")
    assert answer["message"] == "$LATEST version cannot be deleted without deleting the function."
    assert refused("delete_function", FunctionName=name, Qualifier="live")["status"] == 400
    client.delete_alias(FunctionName=name, Name="live")
    client.delete_function(FunctionName=name, Qualifier="1")
    assert refused("get_function", FunctionName=name, Qualifier="1")["status"] == 404
    assert client.get_function(FunctionName=name)["Configuration"]["Version"] == "$LATEST"


OPERATIONS_ON_NOTHING: list[tuple[str, dict[str, Any]]] = [
    ("get_function", {}),
    ("get_function_configuration", {}),
    ("update_function_configuration", {"Timeout": 3}),
    ("update_function_code", {"ZipFile": zipped()}),
    ("delete_function", {}),
    ("publish_version", {}),
    ("list_versions_by_function", {}),
    ("list_aliases", {}),
    ("get_alias", {"Name": "live"}),
    ("delete_alias", {"Name": "live"}),
    ("get_function_concurrency", {}),
    ("get_policy", {}),
    ("remove_permission", {"StatementId": "s"}),
    (
        "add_permission",
        {"StatementId": "s", "Action": "lambda:InvokeFunction", "Principal": "s3.amazonaws.com"},
    ),
]


@pytest.mark.parametrize(("operation", "request_"), OPERATIONS_ON_NOTHING, ids=lambda value: str(value)[:30])
def test_a_function_that_is_not_there_is_not_found(
    refused: Refused, name: str, operation: str, request_: dict[str, Any]
) -> None:
    assert refused(operation, FunctionName=name, **request_) == {
        "type": "ResourceNotFoundException",
        "status": 404,
        "message": f"Function not found: {ARN}:{name}",
    }


def test_a_function_is_created_once(create: Create, refused: Refused, name: str) -> None:
    create()
    assert refused(
        "create_function",
        FunctionName=name,
        Runtime="python3.12",
        Role=ROLE,
        Handler="app.handler",
        Code={"ZipFile": zipped()},
    ) == {
        "type": "ResourceConflictException",
        "status": 409,
        "message": f"Function already exist: {name}",
    }


INVALID = "InvalidParameterValueException"
NOT_BUILT = "NotImplementedException"
BROKEN = "ValidationException"
STATUSES = {INVALID: 400, BROKEN: 400, "SerializationException": 400, NOT_BUILT: 501}

SNAPPED = {"ApplyOn": "PublishedVersions"}
WRONG: list[tuple[dict[str, Any], str, str]] = [
    (
        {"Runtime": "cobol"},
        INVALID,
        "Value cobol at 'runtime' failed to satisfy constraint: Member must satisfy",
    ),
    ({"Handler": None}, INVALID, "Runtime and Handler are mandatory"),
    ({"Runtime": None}, INVALID, "Runtime and Handler are mandatory"),
    ({"Role": None}, BROKEN, "Value null at 'role'"),
    ({"Code": None}, BROKEN, "Value null at 'code'"),
    ({"Code": {}}, INVALID, "Please provide a source for function code."),
    ({"Code": {"ZipFile": b"no zip"}}, INVALID, "Could not unzip uploaded file"),
    ({"Code": {"ZipFile": b""}}, INVALID, "non-empty zip"),
    ({"Code": {"ZipFile": zipped(), "S3Bucket": "bucket"}}, INVALID, "do not provide other FunctionCode"),
    ({"PackageType": "Image"}, INVALID, "Please don't provide Handler or Runtime or Layer"),
    ({"ImageConfig": {"Command": ["x"]}}, INVALID, "Please don't provide ImageConfig"),
    ({"Layers": ["arn:aws:lambda:us-east-1:123456789012:layer:l:1"]}, INVALID, "layer:l:1 does not exist"),
    ({"VpcConfig": {"SubnetIds": ["subnet-1"]}}, NOT_BUILT, "VpcConfig"),
    ({"DeadLetterConfig": {"TargetArn": f"{ARN}:another"}}, INVALID, "SQS queue or an SNS topic"),
    ({"DeadLetterConfig": {"TargetArn": "arn:aws:sqs:us-east-1:1:q.fifo"}}, INVALID, "FIFO"),
    ({"SnapStart": SNAPPED, "Runtime": "java21"}, INVALID, "java21 is not supported for SnapStart enabled"),
    ({"SnapStart": SNAPPED, "Runtime": "nodejs20.x"}, INVALID, "nodejs20.x is not supported for SnapStart"),
    ({"SnapStart": {"ApplyOn": "Always"}}, BROKEN, "[PublishedVersions, None]"),
    (
        {"Environment": {"Variables": {"AWS_REGION": "x", "LAMBDA_TASK_ROOT": "y"}}},
        INVALID,
        "Reserved keys used in this request: AWS_REGION, LAMBDA_TASK_ROOT",
    ),
    (
        {"Environment": {"Variables": {"LONG": "x" * 4096}}},
        INVALID,
        'exceeded the 4KB limit. String measured: {"LONG":"xxx',
    ),
    ({"Environment": {"Variables": {"BAD": "a\0b"}}}, INVALID, "NUL character: BAD"),
    ({"Timeout": "3"}, "SerializationException", "STRING_VALUE can not be converted to an Integer"),
    ({"Timeout": 901}, BROKEN, "less than or equal to 900"),
    ({"FunctionName": "x" * 65}, BROKEN, "Member must have length less than or equal to 64"),
    ({"FunctionName": "a b"}, BROKEN, "Value 'a b' at 'functionName'"),
    ({"Tags": {f"k{n}": "" for n in range(51)}}, INVALID, "tag limit"),
]


@pytest.mark.parametrize(("change", "error", "words"), WRONG, ids=lambda value: str(value)[:40])
def test_a_wrong_creation_is_refused(
    refused: Refused, name: str, change: dict[str, Any], error: str, words: str
) -> None:
    request = {
        "FunctionName": name,
        "Runtime": "python3.12",
        "Role": ROLE,
        "Handler": "app.handler",
        "Code": {"ZipFile": zipped()},
        **change,
    }
    answer = refused("create_function", **{k: v for k, v in request.items() if v is not None})
    assert (answer["type"], answer["status"]) == (error, STATUSES[error])
    assert words in answer["message"]
    assert refused("get_function", FunctionName=name)["status"] == 404


def test_a_function_cannot_be_created_as_a_version(create: Create, name: str) -> None:
    with pytest.raises(ClientError, match="permitted on Lambda functions only"):
        create(FunctionName=f"{name}:1")


def test_a_name_from_elsewhere_is_refused(refused: Refused) -> None:
    assert refused("get_function", FunctionName="arn:aws:lambda:eu-west-1:123456789012:function:x") == {
        "type": "ResourceNotFoundException",
        "status": 404,
        "message": "Functions from 'eu-west-1' are not reachable in this region ('us-east-1')",
    }
    other = refused("get_function", FunctionName="999999999999:function:x")
    assert (other["type"], other["status"]) == ("AccessDeniedException", 403)


def test_harmless_members_switched_off_are_accepted(create: Create) -> None:
    create(
        VpcConfig={"SubnetIds": [], "SecurityGroupIds": []},
        DeadLetterConfig={"TargetArn": ""},
        Layers=[],
        SnapStart={"ApplyOn": "None"},
        KMSKeyArn="",
    )


def test_a_dead_letter_queue_is_shown_changed_and_removed(create: Create, client: Any, name: str) -> None:
    queue, topic = "arn:aws:sqs:us-east-1:123456789012:q", "arn:aws:sns:us-east-1:123456789012:t"
    assert create(DeadLetterConfig={"TargetArn": queue})["DeadLetterConfig"] == {"TargetArn": queue}
    update = client.update_function_configuration
    assert update(FunctionName=name, Timeout=4)["DeadLetterConfig"] == {"TargetArn": queue}
    assert update(FunctionName=name, DeadLetterConfig={"TargetArn": topic})["DeadLetterConfig"] == {
        "TargetArn": topic
    }
    assert "DeadLetterConfig" not in update(FunctionName=name, DeadLetterConfig={"TargetArn": ""})


def test_snap_start_is_kept_and_goes_with_python_only(
    create: Create, client: Any, refused: Refused, name: str
) -> None:
    assert create(SnapStart=SNAPPED)["SnapStart"] == {**SNAPPED, "OptimizationStatus": "Off"}
    update = client.update_function_configuration
    assert update(FunctionName=name, Timeout=4)["SnapStart"]["ApplyOn"] == "PublishedVersions"
    answer = refused("update_function_configuration", FunctionName=name, Runtime="provided.al2023")
    assert answer["type"] == INVALID
    assert answer["message"] == "provided.al2023 is not supported for SnapStart enabled functions."
    without = update(FunctionName=name, Runtime="provided.al2023", SnapStart={"ApplyOn": "None"})
    assert without["SnapStart"] == {"ApplyOn": "None", "OptimizationStatus": "Off"}


def test_a_provided_runtime_needs_no_handler(create: Create) -> None:
    assert "Handler" not in create(Runtime="provided.al2023", Handler=None)
