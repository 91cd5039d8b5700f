"""What a run costs: milliseconds that code ran, rounded up, with the memory it was given."""

from __future__ import annotations

import math

import msgspec


class Usage(msgspec.Struct, frozen=True):
    """One run as it is billed. `init_ms` is 0 unless the run had to start its environment, `restore_ms`
    unless it had to restore one from a snapshot."""

    duration_ms: float
    init_ms: float
    memory_mb: int
    max_memory_used_mb: int
    restore_ms: float = 0.0

    @property
    def billed_ms(self) -> int:
        """Handler and init time together, rounded up to a whole millisecond (AWS, since August 2025)."""
        return max(1, math.ceil(self.duration_ms + self.init_ms))

    @property
    def billed_restore_ms(self) -> int:
        """What a restored environment adds, rounded up to a whole millisecond."""
        return math.ceil(self.restore_ms)

    @property
    def gb_seconds(self) -> float:
        """The billed amount."""
        return (self.billed_ms + self.billed_restore_ms) / 1000 * self.memory_mb / 1024


def report_metrics(usage: Usage) -> dict[str, object]:
    """The same for programs to read, as the Telemetry API has it."""
    metrics: dict[str, object] = {
        "durationMs": round(usage.duration_ms, 3),
        "billedDurationMs": usage.billed_ms,
        "memorySizeMB": usage.memory_mb,
        "maxMemoryUsedMB": usage.max_memory_used_mb,
    }
    if usage.init_ms:
        metrics["initDurationMs"] = round(usage.init_ms, 3)
    if usage.restore_ms:
        metrics["restoreDurationMs"] = round(usage.restore_ms, 3)
    return metrics


def restore_line(restore_ms: float) -> str:
    """What precedes the first run of a restored environment in its log, as AWS writes it."""
    return f"RESTORE_REPORT Restore Duration: {restore_ms:.2f} ms\n"


def init_report_line(init_ms: float) -> str:
    """The line for an init that no run had to wait for, and whose time is on no run's bill."""
    return f"INIT_REPORT Init Duration: {init_ms:.2f} ms\tPhase: init\tStatus: success\n"


def report_line(request_id: str, usage: Usage) -> str:
    """The REPORT line that ends a run's log, as AWS writes it."""
    init = f"Init Duration: {usage.init_ms:.2f} ms\t" if usage.init_ms else ""
    return (
        f"REPORT RequestId: {request_id}\tDuration: {usage.duration_ms:.2f} ms\t"
        f"Billed Duration: {usage.billed_ms} ms\tMemory Size: {usage.memory_mb} MB\t"
        f"Max Memory Used: {usage.max_memory_used_mb} MB\t{init}{_restore(usage)}\n"
    )


def _restore(usage: Usage) -> str:
    if not usage.restore_ms:
        return ""
    billed = f"Billed Restore Duration: {usage.billed_restore_ms} ms\t"
    return f"Restore Duration: {usage.restore_ms:.2f} ms\t{billed}"
