"""A loopback of its own for each environment with extensions, on the machine's network or a filtered one."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.environment_workbench import Tried, Workbench
from tests.sandbox_levels import workbench_at
from worker.environments.interface import Succeeded
from worker.sandbox.levels import Level, Network

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")

PORT = 18_431
CODE = """
import os, socket, threading

PORT = int(os.environ["PORT"])
kept = []

def serve(host, port=PORT):
    server = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind((host, port))
    server.listen()
    threading.Thread(target=answer, args=(server,), daemon=True).start()
    return server.getsockname()[1]

def answer(server):
    while True:
        connection, _ = server.accept()
        with connection:
            connection.sendall(os.environ["ME"].encode())

def ask(host, port):
    try:
        with socket.create_connection((host, port), 5) as connection:
            return connection.recv(100).decode()
    except OSError as error:
        return type(error).__name__

def echo_of_a_datagram():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server, \\
         socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        server.bind(("127.0.0.1", PORT))
        server.settimeout(5)
        client.sendto(b"datagram", ("127.0.0.1", PORT))
        return server.recvfrom(100)[0].decode()

def send(host, port):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        try:
            return client.sendto(b"datagram", (host, port))
        except OSError as error:
            return type(error).__name__

def handler(event, context):
    try:
        for host in event.get("serve", []):
            serve(host)
    except OSError as error:
        return type(error).__name__
    if "any_port" in event:
        return ask("127.0.0.1", serve(event["any_port"], 0))
    if "datagram_to" in event:
        return send(*event["datagram_to"])
    return [ask(host, port) for host, port in event.get("ask", [])] or echo_of_a_datagram()
"""


async def start(bench: Workbench, name: str) -> Tried:
    # A wrapper, as an extension, stands for programs that listen.
    variables = {"PORT": str(PORT), "ME": name, "AWS_LAMBDA_EXEC_WRAPPER": "/usr/bin/env"}
    tried = bench.make("app.handler", bench.code(app=CODE), variables=variables)
    await tried.environment.start()
    return tried


async def done(tried: Tried, **wish: Any) -> Any:
    outcome = (await tried.run(json.dumps(wish).encode())).outcome
    assert isinstance(outcome, Succeeded), outcome
    return json.loads(outcome.payload)


@contextlib.asynccontextmanager
async def machines_server(host: str = "127.0.0.1") -> AsyncIterator[int]:
    """The port of a server of this machine; bound to its own loopback, or to all addresses."""

    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"machine")
        writer.close()

    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.create_server((host, 0), family=family, dualstack_ipv6=":" in host)
    async with await asyncio.start_server(answer, sock=listening) as server:
        yield server.sockets[0].getsockname()[1]


@contextlib.asynccontextmanager
async def every_address(host: str) -> AsyncIterator[int]:
    """The port of servers of this machine, of streams and of datagrams, that are bound to all addresses."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    async with machines_server(host) as port:
        with socket.socket(family, socket.SOCK_DGRAM) as datagrams:
            if family == socket.AF_INET6:
                datagrams.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            datagrams.bind((host, port))
            yield port


@pytest.mark.parametrize("network", ["open", "filtered"])
async def test_environments_that_serve_the_same_port_reach_themselves(
    tmp_path: Path, network: Network
) -> None:
    async with workbench_at(Level.L3, tmp_path, network) as bench, machines_server() as port:
        first, second, third = [await start(bench, name) for name in ("first", "second", "third")]
        own = [["127.0.0.1", PORT]]

        answers = [
            await done(first, serve=["127.0.0.1"], ask=own),
            await done(second, serve=["0.0.0.0"], ask=own),
            await done(third, serve=["::"], ask=[*own, ["::ffff:127.0.0.1", PORT]]),
            await done(first, ask=own),
        ]

        assert answers == [["first"], ["second"], ["third", "third"], ["first"]]
        assert await done(second) == "datagram"
        machine = await done(first, ask=[["127.0.0.1", port]])
        assert machine == (["machine"] if network == "open" else ["PermissionError"])


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
async def test_filtered_functions_reach_no_server_of_the_machine_at_all_addresses(
    tmp_path: Path, host: str
) -> None:
    async with workbench_at(Level.L3, tmp_path, "filtered") as bench, every_address(host) as port:
        first = await start(bench, "first")
        assert first.environment.process is not None
        own = first.environment.process.loopback_address
        there = [[address, port] for address in ("127.0.0.1", "::ffff:127.0.0.1", own, f"::ffff:{own}")]

        assert await done(first, ask=there) == ["PermissionError"] * 4
        assert await done(first, datagram_to=["127.0.0.1", port]) == "PermissionError"
        assert await done(first, datagram_to=[own, port]) == "PermissionError"
        here = [["127.0.0.1", PORT], [own, PORT], [f"::ffff:{own}", PORT]]
        assert await done(first, serve=["0.0.0.0"], ask=here) == ["first"] * 3


@pytest.mark.parametrize("network", ["open", "filtered"])
@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "::"])
async def test_a_server_that_takes_any_port_is_reached(tmp_path: Path, network: Network, host: str) -> None:
    async with workbench_at(Level.L3, tmp_path, network) as bench:
        first = await start(bench, "first")

        assert await done(first, any_port=host) == "first"


async def test_nobody_serves_in_anothers_place(tmp_path: Path) -> None:
    async with workbench_at(Level.L3, tmp_path) as bench:
        first, second = await start(bench, "first"), await start(bench, "second")
        assert first.environment.process is not None
        address = first.environment.process.loopback_address

        assert await done(second, serve=[address]) == "PermissionError"
        assert await done(first, serve=[address], ask=[["127.0.0.1", PORT]]) == ["first"]


SPY = """
import os, urllib.error, urllib.request

def handler(address, context):
    url = f"http://{address}/2020-01-01/extension/register"
    request = urllib.request.Request(url, b"{}", {"Lambda-Extension-Name": "spy"})
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return "no answer"

def ask_own(event, context):
    address = os.environ["AWS_LAMBDA_RUNTIME_API"]
    return [address, handler(address, context)]
"""
TELLER = "import os\ndef handler(event, context):\n    return os.environ['AWS_LAMBDA_RUNTIME_API']\n"


async def test_nobody_speaks_for_another_environment(tmp_path: Path) -> None:
    async with workbench_at(Level.L3, tmp_path) as bench:
        teller = await bench.start("app.handler", bench.code(app=TELLER))
        spy = await bench.start("app.handler", bench.code(app=SPY))
        address = await done(teller)

        outcome = (await spy.run(json.dumps(address).encode())).outcome

        assert outcome == Succeeded(b'"no answer"')


async def test_nobody_but_itself_speaks_for_a_copy(tmp_path: Path) -> None:
    async with workbench_at(Level.L3, tmp_path) as bench:
        if not bench.factory.copies:
            pytest.skip("without root nothing is copied")
        copy = bench.make("app.ask_own", bench.code(app=SPY), snap_start=True)
        await copy.environment.start()
        spy = await bench.start("app.handler", bench.code(app=SPY))
        address, status = await done(copy)

        outcome = (await spy.run(json.dumps(address).encode())).outcome

        assert (status, outcome) == (403, Succeeded(b'"no answer"'))
