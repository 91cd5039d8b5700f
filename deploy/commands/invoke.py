"""`lightswitch invoke`."""

from __future__ import annotations

import base64
import sys
import time
from pathlib import Path
from typing import Any

import click

from deploy.commands.options import client_options, find_endpoint
from deploy.commands.payload import read_payload

FUNCTION_ERROR_STATUS = 1


@click.command("invoke")
@click.argument("name")
@click.option("--payload", help="JSON, @FILE, or - for stdin.  [default: what is piped in, else {}]")
@click.option(
    "--async", "asynchronous", is_flag=True, help="Do not wait; print the request id, for `status`."
)
@click.option("--log", is_flag=True, help="Show the end of the invocation's log on stderr.")
@click.option("--qualifier", help="Version or alias.")
@client_options
def command(
    name: str,
    payload: str | None,
    asynchronous: bool,
    log: bool,
    qualifier: str | None,
    endpoint_url: str | None,
    data_dir: Path | None,
) -> int:
    """Invoke function NAME and print what it returns.

    The result goes to stdout, everything else to stderr. Exit status 1 when the function failed.
    """
    from deploy.lambda_client import reaching

    request: dict[str, Any] = {"FunctionName": name, "Payload": read_payload(payload)}
    request["InvocationType"] = "Event" if asynchronous else "RequestResponse"
    if log:
        request["LogType"] = "Tail"
    if qualifier:
        request["Qualifier"] = qualifier
    with reaching(find_endpoint(endpoint_url, data_dir)) as client:
        started = time.perf_counter()
        answer = client.invoke(**request)
        result = answer["Payload"].read()
        milliseconds = (time.perf_counter() - started) * 1000
    return _show_accepted(answer) if asynchronous else _show_result(answer, result, milliseconds)


def _show_accepted(answer: Any) -> int:
    request_id = answer["ResponseMetadata"]["RequestId"]
    click.echo(f"accepted; see how it ends: lightswitch status {request_id}", err=True)
    click.echo(request_id)
    return 0


def _show_result(answer: Any, result: bytes, milliseconds: float) -> int:
    if "LogResult" in answer:
        click.echo(base64.b64decode(answer["LogResult"]).decode(errors="replace").rstrip(), err=True)
    failure = answer.get("FunctionError")
    outcome = f"function error {failure}" if failure else "success"
    version = answer.get("ExecutedVersion", "?")
    click.echo(f"{outcome}, version {version}, {milliseconds:.1f} ms", err=True)
    sys.stdout.buffer.write(result if result.endswith(b"\n") else result + b"\n")
    sys.stdout.buffer.flush()
    return FUNCTION_ERROR_STATUS if failure else 0
