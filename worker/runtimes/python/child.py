"""What happens in the forked child: from the zygote's copy to a function's process."""

from __future__ import annotations

import errno
import fcntl
import gc
import os
import signal
import socket
import sys
import traceback
import types
from collections.abc import Callable
from typing import Any, NoReturn

from ...sandbox.inside.confine import Confinement, confine, prepare, seal
from ...sandbox.inside.extension_host import ExtensionPrograms, start_extensions
from ...sandbox.inside.isolation import Isolation
from ...sandbox.inside.kernel import PR_SET_DUMPABLE
from .assignment import HIGH_DESCRIPTOR, arrange_descriptors, named, set_environment
from .encoding import Encoding
from .function_log import FunctionLog, flush_streams, open_streams
from .function_loop import FunctionLoop
from .handler import prepare_path
from .init_imports import InitImports
from .own_secrets import renew_secrets
from .rehearsal import rehearse
from .template import CHANNEL_DESCRIPTOR, LINE_DESCRIPTOR, Template

STDERR_DESCRIPTOR = 2
SETUP_FAILED_STATUS = 125

Report = Callable[[str, str], None]
"""Called with a kind (FailureKind of the sandbox's interface) and a text when the child cannot become the
function."""


class Child:
    """A forked copy of the zygote that becomes one function's process."""

    def __init__(self, isolation: Isolation, log: FunctionLog, report: Report) -> None:
        self._isolation = isolation
        self._log = log
        self._report = report
        self._unprepared: OSError | None = None
        self._sealed = False

    def rehearse(self) -> None:
        """Copy the memory ahead of time that running a function copies; a failure is reported later."""
        try:
            rehearse(self._log)
        except OSError as error:
            self._unprepared = error

    def prepare(self, group: str) -> None:
        """Do what needs to know nothing about the function; a failure is reported when there is one."""
        try:
            prepare(self._isolation, group)
        except OSError as error:
            self._unprepared = error

    def seal(self) -> bool:
        """Give up ahead of time what can be given up if the zygote furnishes this child from outside: whether
        it is to do that."""
        if self._unprepared is None:
            try:
                self._sealed = seal(self._isolation)
            except OSError as error:
                self._unprepared = error
        return self._sealed

    def run(
        self,
        request: dict[str, Any],
        descriptors: list[int],
        zygote_pid: int,
        line: socket.socket | None = None,
        furnished: Callable[[], None] | None = None,
    ) -> int:
        """Become the function; returns its exit status, or never (exec, SystemExit).

        Descriptors: the output; where the request has them, the channel, the Runtime API's line, output and
        line of extensions, a generic process's two lines; the trees. With a `line` it becomes a template,
        which hears there of the copies to be made. `furnished` returns when the zygote has furnished a sealed
        child.
        """
        try:
            if self._unprepared is not None:
                raise self._unprepared
            output, lines, api_line, extension_ends, trees = named(request, descriptors)
            confinement = Confinement(**request["confinement"])
            set_environment(request["variables"])
            if self._sealed and furnished is not None:
                furnished()
            confine(self._isolation, confinement, zygote_pid, trees, api_line, sealed=self._sealed)
            if extension_ends:
                programs = ExtensionPrograms(**request["extensions"])
                start_extensions(self._isolation, programs, *extension_ends)
            if line is not None:
                line = _moved(line)
            arrange_descriptors(output, lines, inheritable=request["is_generic"])
        except OSError as error:
            self._report("setup", str(error))
            os._exit(SETUP_FAILED_STATUS)
        if request["is_generic"]:
            # Its lines may lie where the way to report was; its status says enough.
            self._report = _say_nothing
        if not request["has_channel"]:
            if request["working_directory"]:
                self._enter(request["working_directory"])
            self._execute(request["command"], STDERR_DESCRIPTOR + len(lines))
            return SETUP_FAILED_STATUS
        # The report's socket belongs to the zygote: function code must not reach it.
        function_end = socket.socket(fileno=CHANNEL_DESCRIPTOR)
        if line is None:
            self._isolation.kernel.close_all_but([CHANNEL_DESCRIPTOR])
        else:
            os.dup2(line.fileno(), LINE_DESCRIPTOR, inheritable=False)
            line.detach()
            self._isolation.kernel.close_all_but([CHANNEL_DESCRIPTOR, LINE_DESCRIPTOR])
        # Where extensions run it was not; with nothing of the zygote's left it is like any program.
        self._isolation.kernel.prctl(PR_SET_DUMPABLE, 1)
        return self._run_python(request, function_end, is_template=line is not None)

    def _enter(self, directory: str) -> None:
        try:
            os.chdir(directory)
        except OSError as error:
            self._fail("working_directory", f"chdir {directory}: {_reason(error)}")

    def _execute(self, command: list[str], last_descriptor: int) -> None:
        # Descriptors that came over the control socket are inheritable, whatever flag one asks for.
        _keep_from_programs(last_descriptor)
        # Python ignores these two, and what is ignored stays so in the new program.
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        if not command:
            self._fail("entrypoint", "the image has no entrypoint and no command; set ImageConfig")
        path = command[0] if "/" in command[0] else _found_in_path(command[0])
        if not path:
            self._fail("entrypoint", f'exec: "{command[0]}": executable file not found in $PATH')
        try:
            os.execve(path, command, os.environ)
        except OSError as error:
            self._fail("entrypoint", _entrypoint_error(path, error))

    def _fail(self, kind: str, text: str) -> NoReturn:
        self._report(kind, text)
        os._exit(SETUP_FAILED_STATUS)

    def _run_python(self, request: dict[str, Any], channel: socket.socket, *, is_template: bool) -> int:
        gc.enable()
        renew_secrets()
        open_streams()
        self._log.follow(os.environ)
        sys.argv = ["bootstrap"]
        self._isolation.kernel.show_as(b"/var/runtime/bootstrap")
        _hide_start_script()
        prepare_path(request["confinement"]["task_root"], request["library"], request["layers"])
        loop = FunctionLoop(channel, self._log, Encoding(request["version"]))
        try:
            if is_template:
                task_root = request["confinement"]["task_root"]
                return Template(self._isolation, loop, task_root).run(request["handler"])
            if request["learns"]:
                imports = InitImports(request["library"], request["variables"])
                return loop.run(request["handler"], imports.report)
            return loop.run(request["handler"])
        except SystemExit:
            raise
        except BaseException:
            traceback.print_exc()
            return 1
        finally:
            flush_streams()


def _say_nothing(kind: str, text: str) -> None:
    """A Report."""


def _moved(line: socket.socket) -> socket.socket:
    """Out of the way of the numbers that a function's descriptors have."""
    with line:
        return socket.socket(fileno=fcntl.fcntl(line, fcntl.F_DUPFD_CLOEXEC, HIGH_DESCRIPTOR))


def _keep_from_programs(last: int) -> None:
    """No program executed from now on inherits a descriptor above `last`."""
    for name in os.listdir("/proc/self/fd"):
        if int(name) > last:
            try:
                os.set_inheritable(int(name), False)
            except OSError as error:
                # The listing's own descriptor is closed by now.
                if error.errno != errno.EBADF:
                    raise


def _hide_start_script() -> None:
    """Give the function a main module without a file.

    `multiprocessing` runs the main module's file again in processes that it spawns; ours is none of the
    function's business, and may lie where the function cannot read it.
    """
    start = sys.modules["__main__"]
    sys.modules["__main__"] = types.ModuleType("__main__")
    sys.modules["_lightswitch_start"] = start  # its frames are below us


def _found_in_path(program: str) -> str:
    """As execvp finds it; empty where nobody may execute one."""
    for directory in os.environ.get("PATH", "").split(":"):
        path = f"{directory or '.'}/{program}"
        if os.path.isfile(path) and os.access(path, os.X_OK):
            return path
    return ""


def _entrypoint_error(path: str, error: OSError) -> str:
    if error.errno == errno.ENOENT and path.endswith("/bootstrap"):
        return f"Couldn't find valid bootstrap(s): [{path} /opt/bootstrap]"
    return f"fork/exec {path}: {_reason(error)}"


def _reason(error: OSError) -> str:
    return os.strerror(error.errno or 0).lower()


def finish(status: int) -> None:
    """Leave a function's process the way a Python program ends: threads joined, exit handlers run."""
    sys.exit(status)
