"""The AWS CLI and boto3, unmodified, in the environment that `lightswitch env` makes."""

from __future__ import annotations

import base64
import json
import sys
from pathlib import Path

from deploy.packaging import zip_folder
from tests.acceptance.command_line import CommandLine
from tests.acceptance.conftest import WriteFunction

RUNTIME = f"python{sys.version_info.major}.{sys.version_info.minor}"
ROLE = "arn:aws:iam::123456789012:role/anything"
CODE = """
def handler(event, context):
    print("hello from the log")
    return {"doubled": event["n"] * 2}
"""


def test_the_aws_cli_creates_and_invokes_a_function(
    command_line: CommandLine, function_name: str, write_function: WriteFunction, tmp_path: Path
) -> None:
    package = tmp_path / "function.zip"
    package.write_bytes(zip_folder(write_function(CODE)))

    created = command_line.aws(
        "create-function",
        *("--function-name", function_name, "--runtime", RUNTIME, "--role", ROLE),
        *("--handler", "app.handler", "--zip-file", f"fileb://{package}"),
    )
    assert created.returncode == 0, created.stderr
    waited = command_line.aws("wait", "function-active-v2", "--function-name", function_name)
    assert waited.returncode == 0, waited.stderr

    invoked = command_line.aws(
        "invoke",
        *("--function-name", function_name, "--payload", '{"n": 21}', "--log-type", "Tail"),
        str(tmp_path / "result.json"),
    )

    assert invoked.returncode == 0, invoked.stderr
    answer = json.loads(invoked.stdout)
    assert (answer["StatusCode"], answer["ExecutedVersion"]) == (200, "$LATEST")
    assert b"hello from the log" in base64.b64decode(answer["LogResult"])
    assert json.loads((tmp_path / "result.json").read_text()) == {"doubled": 42}


def test_a_program_that_knows_boto3_only_works_unchanged(
    command_line: CommandLine, function_name: str, write_function: WriteFunction, tmp_path: Path
) -> None:
    package = tmp_path / "function.zip"
    package.write_bytes(zip_folder(write_function(CODE)))

    done = command_line.python(f"""
import boto3, json, pathlib
client = boto3.client("lambda")
client.create_function(
    FunctionName={function_name!r}, Runtime={RUNTIME!r}, Role={ROLE!r}, Handler="app.handler",
    Code={{"ZipFile": pathlib.Path({str(package)!r}).read_bytes()}},
)
client.get_waiter("function_active_v2").wait(FunctionName={function_name!r})
answer = client.invoke(FunctionName={function_name!r}, Payload=json.dumps({{"n": 4}}))
print(answer["StatusCode"], answer["Payload"].read().decode())
queued = client.invoke(FunctionName={function_name!r}, Payload=b"{{}}", InvocationType="Event")
print(queued["StatusCode"])
""")

    assert done.stdout == '200 {"doubled": 8}\n202\n', done.stderr


def test_the_wrong_secret_is_refused(command_line: CommandLine) -> None:
    done = command_line.python("""
import boto3
try:
    boto3.client("lambda", aws_secret_access_key="wrong", aws_access_key_id="wrong").list_functions()
except Exception as error:
    print(error.response["ResponseMetadata"]["HTTPStatusCode"])
""")

    assert done.stdout == "403\n", done.stderr
