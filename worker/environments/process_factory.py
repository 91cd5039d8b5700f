"""Makes environments that are processes of this machine."""

from __future__ import annotations

import asyncio
import datetime
import resource
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path

from broker.interface import IMAGES
from worker.environments.channel import ChannelListener, RuntimeChannel
from worker.environments.extensions import external_names
from worker.environments.frame_channel import FrameChannel
from worker.environments.http_channel import HttpChannel
from worker.environments.interface import EnvironmentSpec, OnOutput
from worker.environments.learned_imports import LearnedImports
from worker.environments.process_environment import ProcessEnvironment
from worker.environments.templates import Templates
from worker.runtimes.exec_wrapper import exec_wrapper
from worker.runtimes.library import prepare_library
from worker.runtimes.official.interface import OfficialRuntime
from worker.sandbox.interface import Sandbox
from worker.sandbox.levels import IsolationPolicy, Level
from worker.sandbox.process_sandbox import AUTOMATIC, ProcessSandbox


class ProcessEnvironmentFactory:
    """An EnvironmentFactory.

    `directory` is the worker's own; scratch directories and (below `library_directory`, which several
    workers may share, else below `directory`) the packages that Python functions find without bringing
    them. `find_official` looks for runtimes that run AWS's clients. `policy` says which levels may be used;
    `sandbox` replaces all that.
    """

    def __init__(
        self,
        directory: Path,
        *,
        library_directory: Path | None = None,
        find_official: Callable[[], Mapping[str, OfficialRuntime]] = dict,
        policy: IsolationPolicy = AUTOMATIC,
        sandbox: Sandbox | None = None,
    ) -> None:
        self._library_directory = library_directory or directory / "runtime"
        self._sandbox = sandbox or ProcessSandbox(
            directory, self._library_directory / "current", policy=policy
        )
        self._find_official = find_official
        self._official = find_official()
        self._templates = Templates(self._create_template)
        self._imports = LearnedImports(self._sandbox, self._create)
        self._environments: set[ProcessEnvironment] = set()

    def runtimes(self) -> tuple[str, ...]:
        images = (IMAGES,) if self._sandbox.level.has_namespaces else ()
        return (*self._sandbox.runtimes(), *self._official, *images)

    def look_for_runtimes(self) -> None:
        """See what was added since, or taken away. Blocking; may run in a thread."""
        self._official = self._find_official()

    @property
    def level(self) -> Level:
        """How functions are isolated; known after `open`."""
        return self._sandbox.level

    @property
    def copies(self) -> bool:
        """Environments with SnapStart are copied from one that was initialised; known after `open`."""
        return self._sandbox.copies

    def problems(self) -> tuple[str, ...]:
        """What is weaker on this machine than it should be; complete after `open`."""
        return self._sandbox.problems()

    async def open(self) -> None:
        """Also raises this process's limit of open files: an environment takes two or three."""
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        library = asyncio.to_thread(prepare_library, self._library_directory)
        await asyncio.gather(library, self._sandbox.open())

    def create(
        self, spec: EnvironmentSpec, on_output: OnOutput, on_gone: Callable[[], None]
    ) -> ProcessEnvironment:
        # Extensions are processes beside the function's, a wrapper starts it: copies would not have them.
        alone = not external_names(spec) and not exec_wrapper(spec)
        copied = spec.snap_start and self._sandbox.copies and alone
        learns = self._speaks_frames(spec) and not copied
        return self._create(
            spec,
            on_output,
            on_gone,
            self._templates if copied else None,
            self._imports if learns else None,
        )

    def _create_template(
        self, spec: EnvironmentSpec, on_output: OnOutput, on_gone: Callable[[], None]
    ) -> ProcessEnvironment:
        return self._create(spec, on_output, on_gone, is_template=True)

    def _create(
        self,
        spec: EnvironmentSpec,
        on_output: OnOutput,
        on_gone: Callable[[], None],
        templates: Templates | None = None,
        imports: LearnedImports | None = None,
        *,
        is_template: bool = False,
    ) -> ProcessEnvironment:
        environment = ProcessEnvironment(
            spec,
            _log_stream(spec.version),
            self._sandbox,
            self._channel_for(spec),
            on_output,
            on_gone,
            self._environments.discard,
            self._official.get(spec.runtime),
            templates,
            imports,
            is_template=is_template,
        )
        self._environments.add(environment)
        return environment

    def _channel_for(self, spec: EnvironmentSpec) -> Callable[[ChannelListener], RuntimeChannel]:
        return FrameChannel if self._speaks_frames(spec) else HttpChannel

    def _speaks_frames(self, spec: EnvironmentSpec) -> bool:
        return spec.runtime.startswith("python") and not exec_wrapper(spec)

    def reap(self) -> None:
        self._templates.reap()

    def shed(self) -> None:
        """The sandbox's pre-warmed processes, and templates that nobody copies just now."""
        self._sandbox.shed()
        self._templates.shed()

    async def close(self) -> None:
        await self._imports.close()
        await self._templates.close()
        await asyncio.gather(*(environment.stop() for environment in list(self._environments)))
        await self._sandbox.close()


def _log_stream(version: str) -> str:
    """Named as Lambda names them: date, version, a random id."""
    today = datetime.datetime.now(datetime.UTC).strftime("%Y/%m/%d")
    return f"{today}/[{version}]{secrets.token_hex(16)}"
