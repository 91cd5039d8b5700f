#!/usr/bin/python3 -IS
"""A runtime that streams its responses, written against the Runtime API by hand.

The event says what happens: `write` (texts), `wait_for` (a file to appear after the first text), `repeat`
(how often 64 KB are written), `type` (content type), `fail` (trailers); in the middle `exit`, `break` and
`hang`; `whole` (one buffered response), `error` (no response at all).
"""

from __future__ import annotations

import base64
import json
import os
import socket
import time
from typing import Any, BinaryIO

HOST, _, PORT = os.environ["AWS_LAMBDA_RUNTIME_API"].partition(":")
INVOCATION = "/2018-06-01/runtime/invocation/"


def connect() -> tuple[socket.socket, BinaryIO]:
    connection = socket.create_connection((HOST, int(PORT)))
    return connection, connection.makefile("rb")


def read_response(stream: BinaryIO) -> tuple[int, dict[str, str], bytes]:
    status = int(stream.readline().split()[1])
    headers = {}
    while line := stream.readline().decode().strip():
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    return status, headers, stream.read(int(headers.get("content-length", 0)))


def take_work(connection: socket.socket, stream: BinaryIO) -> tuple[str, Any]:
    connection.sendall(f"GET {INVOCATION}next HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    _, headers, body = read_response(stream)
    return headers["lambda-runtime-aws-request-id"], json.loads(body)


def post(connection: socket.socket, stream: BinaryIO, path: str, body: bytes) -> None:
    head = f"POST {INVOCATION}{path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
    connection.sendall(head.encode() + body)
    read_response(stream)


def chunk(data: bytes) -> bytes:
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


def stream_response(
    connection: socket.socket, stream: BinaryIO, request_id: str, event: dict[str, Any]
) -> None:
    connection.sendall(
        f"POST {INVOCATION}{request_id}/response HTTP/1.1\r\nHost: x\r\n"
        f"Content-Type: {event.get('type', 'application/octet-stream')}\r\n"
        "Lambda-Runtime-Function-Response-Mode: streaming\r\n"
        "Trailer: Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body\r\n"
        "Transfer-Encoding: chunked\r\n\r\n".encode()
    )
    for text in event.get("write", []):
        connection.sendall(chunk(text.encode()))
        while "wait_for" in event and not os.path.exists(event["wait_for"]):
            time.sleep(0.01)
    for _ in range(event.get("repeat", 0)):
        connection.sendall(chunk(b"x" * 65536))
    if "exit" in event:
        os._exit(event["exit"])
    if event.get("break"):
        stream.close()
        connection.close()
        return
    if event.get("hang"):
        time.sleep(3600)
    connection.sendall(b"0\r\n")
    if "fail" in event:
        document = json.dumps({"errorType": "Oops", "errorMessage": event["fail"]}).encode()
        connection.sendall(
            b"Lambda-Runtime-Function-Error-Type: Oops\r\n"
            b"Lambda-Runtime-Function-Error-Body: " + base64.b64encode(document) + b"\r\n"
        )
    connection.sendall(b"\r\n")
    read_response(stream)


def main() -> None:
    connection, stream = connect()
    while True:
        request_id, event = take_work(connection, stream)
        if "requestContext" in event:
            event = json.loads(event["body"])
        if "whole" in event:
            post(connection, stream, f"{request_id}/response", json.dumps(event["whole"]).encode())
        elif "error" in event:
            document = {"errorType": "Refused", "errorMessage": event["error"]}
            post(connection, stream, f"{request_id}/error", json.dumps(document).encode())
        else:
            stream_response(connection, stream, request_id, event)
            if event.get("break"):
                connection, stream = connect()


main()
