"""AWS's words for what a runtime did not report itself. `executor` prefixes `RequestId: ID Error: `."""

from __future__ import annotations

import json
import signal

EXIT_ERROR = "Runtime.ExitError"
TIMED_OUT = "Sandbox.Timedout"
INVALID_ENTRYPOINT = "Runtime.InvalidEntrypoint"
INVALID_WORKING_DIRECTORY = "Runtime.InvalidWorkingDir"
PLATFORM_ERROR = "Sandbox.Failure"

_SIGNAL_NAMES: dict[int, str] = {
    signal.SIGHUP: "hangup",
    signal.SIGINT: "interrupt",
    signal.SIGQUIT: "quit",
    signal.SIGILL: "illegal instruction",
    signal.SIGTRAP: "trace/breakpoint trap",
    signal.SIGABRT: "aborted",
    signal.SIGBUS: "bus error",
    signal.SIGFPE: "floating point exception",
    signal.SIGKILL: "killed",
    signal.SIGUSR1: "user defined signal 1",
    signal.SIGSEGV: "segmentation fault",
    signal.SIGUSR2: "user defined signal 2",
    signal.SIGPIPE: "broken pipe",
    signal.SIGALRM: "alarm clock",
    signal.SIGTERM: "terminated",
    signal.SIGXCPU: "CPU time limit exceeded",
    signal.SIGXFSZ: "file size limit exceeded",
}


def exit_cause(code: int) -> str:
    """How AWS names the end of a process: `code` is an exit status, or a negative signal number."""
    if code == 0:
        return ""
    if code > 0:
        return f"exit status {code}"
    return f"signal: {_SIGNAL_NAMES.get(-code, f'signal {-code}')}"


def exit_message(cause: str) -> str:
    """The message of Runtime.ExitError."""
    return f"Runtime exited with error: {cause}" if cause else "Runtime exited without providing a reason"


def error_document(error_type: str, message: str) -> bytes:
    """AWS's error JSON of the platform's own errors, which have no more than these two members."""
    return json.dumps({"errorType": error_type, "errorMessage": message}).encode()
