"""Functions with SnapStart, initialised once on this worker: what their environments are copied from."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Protocol

from worker.environments.interface import EnvironmentSpec, InitFailed, OnOutput
from worker.runtimes.python.template import NOT_COPYABLE
from worker.sandbox.interface import SandboxProcess

log = logging.getLogger(__name__)

MOST_TEMPLATES = 32
KEEP_SECONDS = 3600.0
"""Unused for so long, a template ends; the next environment makes another."""


class TemplateEnvironment(Protocol):
    """What of an environment a template needs."""

    @property
    def process(self) -> SandboxProcess | None: ...

    @property
    def init_duration_ms(self) -> float: ...

    async def start(self) -> None: ...

    async def stop(self) -> None: ...


MakeEnvironment = Callable[[EnvironmentSpec, OnOutput, Callable[[], None]], TemplateEnvironment]


class _Template:
    """One function version. `environment` is None where init leaves behind what a copy cannot have."""

    def __init__(self, spec: EnvironmentSpec) -> None:
        self.spec = spec
        self.environment: TemplateEnvironment | None = None
        self.ready: asyncio.Task[None] | None = None
        self.users = 0
        self.used = time.monotonic()

    @property
    def takes_memory(self) -> bool:
        return self.environment is not None or self.is_starting

    @property
    def is_starting(self) -> bool:
        return self.ready is not None and not self.ready.done()


class Templates:
    """All templates of one worker."""

    def __init__(self, make: MakeEnvironment) -> None:
        self._make = make
        self._templates: dict[tuple[str, str], _Template] = {}
        self._retired: set[_Template] = set()  # but still starting, or in use
        self._ends: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def lend(self, spec: EnvironmentSpec, on_output: OnOutput) -> AsyncIterator[SandboxProcess | None]:
        """The process to copy, made if there is none; it is kept within the block. None where copies are
        impossible: then start as usual.

        What init writes goes to `on_output` of whoever asks first. Raises InitFailed.
        """
        template = self._template(spec)
        if template.ready is None:
            template.ready = asyncio.create_task(self._bring_up(template, on_output), name="start template")
            # Whoever stops waiting does not ask how it ended.
            template.ready.add_done_callback(lambda ready: ready.cancelled() or ready.exception())
            template.ready.add_done_callback(lambda _: self._end_if_retired(template))
        template.users += 1
        try:
            await asyncio.shield(template.ready)
            if template.environment is None:
                yield None
                return
            yield template.environment.process
        finally:
            template.users -= 1
            template.used = time.monotonic()
            self._end_if_retired(template)

    def reap(self) -> None:
        """End those that nobody has used for long."""
        oldest = time.monotonic() - KEEP_SECONDS
        for template in list(self._templates.values()):
            if template.users == 0 and template.used < oldest:
                self._retire(template)

    def shed(self) -> None:
        """Memory runs short: end those that nobody uses just now."""
        for template in list(self._templates.values()):
            if template.users == 0 and template.takes_memory:
                self._retire(template)

    async def close(self) -> None:
        """Wait for those that are ending; the others belong to the factory."""
        templates = [*self._templates.values(), *self._retired]
        starting = [each.ready for each in templates if each.ready is not None]
        for task in starting:
            task.cancel()
        await asyncio.gather(*starting, *self._ends, return_exceptions=True)

    def _template(self, spec: EnvironmentSpec) -> _Template:
        key = spec.function_name, spec.version
        template = self._templates.get(key)
        if template is not None and template.spec != spec:
            self._retire(template)
            template = None
        if template is None:
            template = _Template(spec)
            self.reap()
            self._make_room()
        self._templates.pop(key, None)
        self._templates[key] = template  # the one used last comes last
        return template

    async def _bring_up(self, template: _Template, on_output: OnOutput) -> None:
        environment = self._make(template.spec, on_output, lambda: self._forget(template))
        try:
            await environment.start()
        except InitFailed as failure:
            if failure.error_type != NOT_COPYABLE:
                self._forget(template)
                raise
            on_output(b"SnapStart: every environment is initialised by itself.\n")
        except BaseException:
            self._forget(template)
            raise
        else:
            on_output(f"INIT_REPORT Init Duration: {environment.init_duration_ms:.2f} ms\n".encode())
            template.environment = environment

    def _make_room(self) -> None:
        """For one more."""
        for template in list(self._templates.values()):
            if template.users == 0 and len(self._templates) >= MOST_TEMPLATES:
                self._retire(template)

    def _retire(self, template: _Template) -> None:
        """Lend it no more; it ends as soon as nobody uses it."""
        self._forget(template)
        self._retired.add(template)
        self._end_if_retired(template)

    def _end_if_retired(self, template: _Template) -> None:
        if template not in self._retired or template.users or template.is_starting:
            return
        self._retired.discard(template)
        if template.environment is not None:
            task = asyncio.create_task(template.environment.stop(), name="stop template")
            self._ends.add(task)
            task.add_done_callback(self._ends.discard)

    def _forget(self, template: _Template) -> None:
        """It has died, never came up, or is not wanted any more."""
        key = template.spec.function_name, template.spec.version
        if self._templates.get(key) is template:
            del self._templates[key]
