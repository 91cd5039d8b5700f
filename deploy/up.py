"""`lightswitch up`: a whole system on this machine, from its first process to its last."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

from broker.invocation import now_ms
from deploy.child import ChildSpec
from deploy.credentials import Credentials, ensure_credentials
from deploy.data_dir import RunningSystem
from deploy.embedded_redis import EmbeddedRedis
from deploy.endpoint import Endpoint
from deploy.errors import DeployError
from deploy.local_aws import local_aws_child
from deploy.parent_death import die_with
from deploy.ports import free_port
from deploy.redis_binary import find_redis
from deploy.roles import (
    UpOptions,
    gateway_child,
    lightswitch_command,
    redis_child,
    triggers_child,
    worker_children,
)
from deploy.supervisor import Supervisor

POLL_SECONDS = 0.05
START_TIMEOUT_SECONDS = 60.0


def run(options: UpOptions) -> int:
    """Bring the system up, serve until a signal, stop it. Raises DeployError where it cannot start."""
    options.data_dir.create()
    with options.data_dir.locked():
        listening = replace(options, port=free_port(options.host, options.port))
        return asyncio.run(System(listening, ensure_credentials(options.data_dir)).live())


def report(line: str) -> None:
    """A line for the operator; stdout is kept for `ready`."""
    print(f"lightswitch: {line}", file=sys.stderr, flush=True)


class System:
    """The life of one system: start, serve, drain, stop. A second signal cuts it short."""

    def __init__(self, options: UpOptions, credentials: Credentials) -> None:
        self._options = options
        self._endpoint = Endpoint(
            options.endpoint_url, options.settings.region, credentials, timeout_seconds=2.0
        )
        self._stop = asyncio.Event()
        self._stop_now = asyncio.Event()
        self._not_ready_because = ""

    async def live(self) -> int:
        """From the first process to the last; the exit status."""
        self._listen_for_signals()
        self._options.data_dir.withdraw()  # what a system that was killed may have left
        try:
            async with Supervisor(report) as supervisor:
                await first_of(self._start(supervisor), supervisor.watch_start(), self._stop.wait())
                if not self._stop.is_set():
                    await first_of(self._serve(), self._stop.wait())
                await first_of(supervisor.stop(), self._stop_now.wait())
        finally:
            self._options.data_dir.withdraw()
        return 0

    def _listen_for_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._on_signal)
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup means what it says
            loop.add_signal_handler(signal.SIGHUP, self._on_signal)

    def _on_signal(self) -> None:
        if self._stop.is_set():
            report("stopping at once")
            self._stop_now.set()
        self._stop.set()

    async def _start(self, supervisor: Supervisor) -> None:
        """All processes, in order, until the system can serve."""
        try:
            async with asyncio.timeout(START_TIMEOUT_SECONDS):
                if self._options.local_aws:
                    supervisor.start(self._local_aws_child())
                if self._options.embedded:
                    await self._start_redis(supervisor)
                supervisor.start(*worker_children(self._options))
                supervisor.start(gateway_child(self._options), triggers_child(self._options))
                await self._until_ready()
        except TimeoutError as error:
            why = f" ({self._not_ready_because})" if self._not_ready_because else ""
            raise DeployError(
                f"not ready after {START_TIMEOUT_SECONDS:g} s{why}; see {self._options.data_dir.logs}"
            ) from error

    def _local_aws_child(self) -> ChildSpec:
        assert self._options.local_aws is not None
        account_id = self._options.settings.account_id
        return local_aws_child(self._options.local_aws, self._options.data_dir, account_id)

    async def _start_redis(self, supervisor: Supervisor) -> None:
        options = self._options
        socket_path = options.settings.redis_url.removeprefix("unix://")
        server = EmbeddedRedis(find_redis(), options.data_dir, Path(socket_path))
        server.prepare()
        supervisor.start(redis_child(server))
        await server.wait_until_ready()

    async def _until_ready(self) -> None:
        while not await asyncio.to_thread(self._is_ready):  # noqa: ASYNC110 - other processes
            await asyncio.sleep(POLL_SECONDS)

    def _is_ready(self) -> bool:
        """The gateway can serve and a worker has registered."""
        local = self._options.local_aws
        if local is not None and not local.answers():
            self._not_ready_because = "the local AWS services do not answer"
            return False
        try:
            return self._endpoint.is_ready() and any(worker.alive for worker in self._endpoint.workers())
        except DeployError as error:
            self._not_ready_because = str(error)
            return False

    async def _serve(self) -> None:
        """Tell everybody, show the example if asked to, and go on until cancelled."""
        url = self._options.endpoint_url
        local_url = self._options.local_aws.url if self._options.local_aws else ""
        self._options.data_dir.announce(RunningSystem(os.getpid(), url, now_ms(), local_url))
        if local_url:
            report(f"S3, SQS, SNS and DynamoDB at {local_url} (in memory)")
        print(f"ready {url}", flush=True)
        if self._options.example:
            await self._show_example()
        await asyncio.Event().wait()

    async def _show_example(self) -> None:
        command = (*lightswitch_command(), "example", "--data-dir", str(self._options.data_dir.path))
        example = await asyncio.create_subprocess_exec(
            *command, start_new_session=True, preexec_fn=die_with(os.getpid())
        )
        try:
            if await example.wait() != 0:
                report("the example did not work; the system goes on")
        finally:
            if example.returncode is None:
                example.kill()
                await example.wait()


async def first_of(*steps: Coroutine[Any, Any, object]) -> None:
    """Run the steps until one has ended, then cancel the others; raises what the first one raised."""
    tasks = [asyncio.create_task(step) for step in steps]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()
