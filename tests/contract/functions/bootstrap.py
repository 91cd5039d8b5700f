#!/usr/bin/python3 -IS
"""A runtime of one's own, as small as they come: the Runtime API by hand."""

from __future__ import annotations

import http.client
import importlib
import json
import os
import sys
from types import SimpleNamespace
from typing import Any

PREFIX = "/2018-06-01/runtime/"


def call(
    connection: http.client.HTTPConnection, method: str, path: str, body: object = None
) -> tuple[Any, Any]:
    connection.request(method, PREFIX + path, None if body is None else json.dumps(body, default=float))
    response = connection.getresponse()
    return response.headers, json.loads(response.read() or b"null")


def context_of(headers: http.client.HTTPMessage) -> SimpleNamespace:
    custom = json.loads(headers["Lambda-Runtime-Client-Context"] or "{}").get("custom")
    return SimpleNamespace(
        get_remaining_time_in_millis=lambda: int(headers["Lambda-Runtime-Deadline-Ms"]) - 0,
        aws_request_id=headers["Lambda-Runtime-Aws-Request-Id"],
        invoked_function_arn=headers["Lambda-Runtime-Invoked-Function-Arn"],
        memory_limit_in_mb=os.environ["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"],
        log_stream_name=os.environ["AWS_LAMBDA_LOG_STREAM_NAME"],
        client_context=SimpleNamespace(custom=custom),
    )


def main() -> None:
    sys.path.insert(0, os.environ["LAMBDA_TASK_ROOT"])
    connection = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
    module, _, name = os.environ["_HANDLER"].partition(".")
    try:
        handler = getattr(importlib.import_module(module), name)
    except Exception as error:
        call(
            connection, "POST", "init/error", {"errorType": type(error).__name__, "errorMessage": str(error)}
        )
        sys.exit(1)
    while True:
        headers, event = call(connection, "GET", "invocation/next")
        os.environ["_X_AMZN_TRACE_ID"] = headers["Lambda-Runtime-Trace-Id"] or ""
        path = "invocation/" + headers["Lambda-Runtime-Aws-Request-Id"]
        try:
            result = handler(event, context_of(headers))
        except Exception as error:
            call(
                connection,
                "POST",
                path + "/error",
                {"errorType": type(error).__name__, "errorMessage": str(error)},
            )
        else:
            sys.stdout.flush()
            call(connection, "POST", path + "/response", result)


main()
