"""What an environment asks its sandbox for."""

from __future__ import annotations

from collections.abc import Mapping

from worker.environments.interface import EnvironmentSpec
from worker.environments.process_lines import ProcessLines
from worker.environments.reserved_variables import process_variables
from worker.environments.runtime_command import RuntimeCommand
from worker.runtimes.official.interface import OfficialRuntime
from worker.sandbox.import_sets import FunctionImports
from worker.sandbox.interface import ProcessSpec, SandboxProcess


class ProcessRequest:
    """For one environment; `official` is AWS's client where that is its runtime."""

    def __init__(
        self, spec: EnvironmentSpec, log_stream: str, official: OfficialRuntime | None, *, is_template: bool
    ) -> None:
        self._spec = spec
        self._log_stream = log_stream
        self._official = official
        self._command = RuntimeCommand(spec, official)
        self._is_template = is_template

    def over(
        self,
        lines: ProcessLines,
        channel_variables: Mapping[str, str],
        template: SandboxProcess | None,
        imports: FunctionImports | None,
        *,
        learns: bool,
    ) -> ProcessSpec:
        """The process at the other end of these lines, which have been opened. `template`: it is a copy of
        this one; `imports` are known of its init, or with `learns` to be told."""
        spec, command, log_stream = self._spec, self._command, self._log_stream
        return ProcessSpec(
            runtime=spec.runtime,
            handler=spec.handler,
            task_root=spec.task_root,
            memory_mb=spec.memory_mb,
            ephemeral_storage_mb=spec.ephemeral_storage_mb,
            variables=lambda seen: process_variables(spec, log_stream, seen, channel_variables),
            output=lines.output.write_end,
            channel=lines.channel.function_end,
            api_line=lines.api_line,
            layers=spec.layers,
            command=command.seen_at,
            image=spec.image.root if spec.image else None,
            working_directory=spec.image.working_directory if spec.image else "",
            runtime_directory=self._official.directory if self._official else None,
            extensions=lines.extensions.programs(log_stream, channel_variables),
            own_loopback=command.wrapped or lines.extensions.any_external,
            is_template=self._is_template,
            copy_of=template,
            generic=command.generic,
            learns=learns,
            imports=imports,
        )
