"""The platform's events of an environment's phases: init, each run, its report."""

from __future__ import annotations

import time
from collections.abc import Sequence

from worker.environments.interface import (
    EnvironmentSpec,
    Exited,
    ExtensionFailed,
    HandlerFailed,
    RunOutcome,
    Succeeded,
    TimedOut,
    Work,
)
from worker.metering import Usage, report_metrics
from worker.runtime_api.extension_session import Extension
from worker.telemetry.records import Status, ending, span, trace_context
from worker.telemetry.stream import Telemetry


class Phases:
    """Says what happens in AWS's words."""

    def __init__(self, telemetry: Telemetry, spec: EnvironmentSpec) -> None:
        self.telemetry = telemetry
        self._spec = spec
        self._kind = "snap-start" if spec.snap_start else "on-demand"
        self._runtime_done = False
        self._work: Work | None = None
        self._extensions_ms = 0.0
        self._answered = 0.0

    def init_started(self, at: float) -> None:
        """The environment is being made."""
        record = {
            **self._init(),
            "functionName": self._spec.function_name,
            "functionVersion": self._spec.version,
            "runtimeVersion": self._spec.runtime,
        }
        self.telemetry.tell("platform.initStart", record, at=at)

    def runtime_initialized(self, error_type: str = "") -> None:
        """The runtime is ready, or will never be."""
        if not self._runtime_done:
            self._runtime_done = True
            record = {**self._init(), **ending(_init_status(error_type), error_type)}
            self.telemetry.tell("platform.initRuntimeDone", record)

    def init_ended(self, duration_ms: float, extensions: Sequence[Extension], error_type: str = "") -> None:
        """Init is over, with all extensions."""
        self.runtime_initialized(error_type)
        for each in extensions:
            record = {"name": each.name, "state": each.state.value, "events": list(each.events)}
            error = {"errorType": each.error_type} if each.error_type else {}
            self.telemetry.tell("platform.extension", {**record, **error})
        ended = ending(_init_status(error_type), error_type)
        metrics = {"durationMs": round(duration_ms, 3)}
        self.telemetry.tell("platform.initReport", {**self._init(), "metrics": metrics, **ended})
        self.telemetry.forget_early()

    def run_started(self, work: Work) -> None:
        """The runtime gets a run."""
        self._work = work
        self._extensions_ms = 0.0
        record = {"requestId": work.request_id, "version": self._spec.version}
        self.telemetry.tell("platform.start", {**record, **trace_context(work.trace_header)})

    def runtime_done(self, outcome: RunOutcome, duration_ms: float) -> None:
        """The runtime has answered, or has ended."""
        if self._work is None:
            return
        self.telemetry.end_lines()
        self._answered = time.time()
        answer = _payload_bytes(outcome)
        started = self._answered - duration_ms / 1000
        record: dict[str, object] = {
            "requestId": self._work.request_id,
            **ending(*run_status(outcome)),
            "metrics": {"durationMs": round(duration_ms, 3), "producedBytes": answer},
            "spans": [span("responseLatency", started, duration_ms)],
            **trace_context(self._work.trace_header),
        }
        self.telemetry.tell("platform.runtimeDone", record)
        if isinstance(outcome, Exited | ExtensionFailed):
            text = f"RequestId: {self._work.request_id} Process exited before completing request"
            self.telemetry.tell("platform.fault", text)

    def rested(self, extensions_ms: float) -> None:
        """Extensions have done with the run."""
        self._extensions_ms = extensions_ms

    def reported(self, request_id: str, usage: Usage, outcome: RunOutcome) -> None:
        """What the run took and cost."""
        if self._work is None:
            return
        record: dict[str, object] = {
            "requestId": request_id,
            **ending(*run_status(outcome)),
            "metrics": report_metrics(usage),
        }
        if self._extensions_ms:
            record["spans"] = [span("extensionOverhead", self._answered, self._extensions_ms)]
        self.telemetry.tell("platform.end", {"requestId": request_id})
        self.telemetry.tell("platform.report", {**record, **trace_context(self._work.trace_header)})

    def _init(self) -> dict[str, object]:
        return {"initializationType": self._kind, "phase": "init"}


def _init_status(error_type: str) -> Status:
    if not error_type:
        return "success"
    return "timeout" if error_type == "Sandbox.Timedout" else "error"


def run_status(outcome: RunOutcome) -> tuple[Status, str]:
    """A handler's own error is no failure of the runtime: it has reported it, as AWS counts."""
    match outcome:
        case Succeeded() | HandlerFailed():
            return "success", ""
        case TimedOut():
            return "timeout", ""
        case Exited():
            return "error", "Runtime.ExitError"
        case ExtensionFailed(error_type):
            return "error", error_type


def _payload_bytes(outcome: RunOutcome) -> int:
    return len(outcome.payload) if isinstance(outcome, Succeeded) else 0
