"""The Extensions API's state for one environment: which extensions there are, who may say what, when."""

from __future__ import annotations

import enum
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from worker.runtime_api.extension_events import invoke_answer, shutdown_answer

MOST_EXTENSIONS = 10
TOO_MANY = f"Extension limit ({MOST_EXTENSIONS}) reached"

INVOKE, SHUTDOWN = "INVOKE", "SHUTDOWN"

CRASH = "Extension.Crash"
INIT_ERROR = "Extension.InitError"
EXIT_ERROR = "Extension.ExitError"
LAUNCH_ERROR = "Extension.LaunchError"


class ExtensionsListener(Protocol):
    """Whom the extensions' words concern."""

    def extensions_registered(self) -> None:
        """Every external extension has registered: the runtime may start."""

    def extensions_quiet(self) -> None:
        """Every extension that takes part in the present phase has asked for the next event."""

    def extension_reported(self, error_type: str) -> None:
        """An extension says that it cannot go on; it should end now."""

    def extension_failed(self, error_type: str, cause: str) -> None:
        """An external extension could not be started, or has ended (also while the environment shuts down);
        `cause` as AWS words it."""


class ExtensionState(enum.Enum):
    """Where an extension is; the words are those of AWS's log lines."""

    STARTED = "Started"
    REGISTERED = "Registered"
    READY = "Ready"
    RUNNING = "Running"
    INIT_ERROR = "InitError"
    EXIT_ERROR = "ExitError"
    EXITED = "Exited"
    LAUNCH_ERROR = "LaunchError"


class Refused(Exception):
    """A call that is not allowed; nothing has changed. AWS answers 403 with these words."""

    def __init__(self, error_type: str, message: str) -> None:
        super().__init__(message)
        self.error_type = error_type


Deliver = Callable[[bytes], None]
"""Writes the answer to a `next` that had to wait: a whole HTTP response."""


@dataclass(slots=True, eq=False)
class Extension:
    """One extension. `answer` is an event that it has not asked for yet."""

    name: str
    external: bool
    state: ExtensionState = ExtensionState.STARTED
    identifier: str = field(default_factory=lambda: str(uuid.uuid4()))
    events: tuple[str, ...] = ()
    error_type: str = ""
    deliver: Deliver | None = None
    answer: bytes | None = None

    @property
    def log_line(self) -> str:
        """What AWS writes to the function's log at the end of init."""
        error = f"\tError Type: {self.error_type}" if self.error_type else ""
        events = ",".join(self.events)
        return f"EXTENSION\tName: {self.name}\tState: {self.state.value}\tEvents: [{events}]{error}\n"


class ExtensionSession:
    """Keeps an environment's extensions in step with its phases. Calls of extensions raise Refused where they
    are not allowed.

    A phase (init, then each run) lasts until all extensions in it have asked for the next event: all of them
    in init, in a run those that want INVOKE events.
    """

    def __init__(self, listener: ExtensionsListener) -> None:
        self._listener = listener
        self._by_name: dict[str, Extension] = {}
        self._by_identifier: dict[str, Extension] = {}
        self._pending: set[Extension] = set()
        self._open = True
        self._fatal = ""

    @property
    def extensions(self) -> Sequence[Extension]:
        """All that there are, external ones first."""
        return sorted(self._by_name.values(), key=lambda each: not each.external)

    @property
    def quiet(self) -> bool:
        """Nobody needs more time in the present phase."""
        return not self._pending

    @property
    def any(self) -> bool:
        """There are extensions."""
        return bool(self._by_name)

    @property
    def any_external(self) -> bool:
        """There are extensions with processes of their own."""
        return any(each.external for each in self._by_name.values())

    @property
    def shutting_down(self) -> Sequence[Extension]:
        """External extensions that are still to end by themselves."""
        ended = (ExtensionState.EXITED, ExtensionState.LAUNCH_ERROR)
        return [
            each
            for each in self._by_name.values()
            if each.external and SHUTDOWN in each.events and each.state not in ended
        ]

    def find(self, identifier: str) -> Extension:
        """The extension that a call names."""
        if not identifier:
            message = "Missing Lambda-Extension-Identifier header"
            raise Refused("Extension.MissingExtensionIdentifier", message)
        extension = self._by_identifier.get(identifier)
        if extension is None:
            raise _unknown(identifier)
        return extension

    def launch(self, names: Sequence[str]) -> None:
        """External extensions are being started. Where they are too many, the first one too many fails."""
        for name in names:
            extension = self._add(Extension(name, external=True))
            self._pending.add(extension)
            if len(self._by_name) > MOST_EXTENSIONS:
                self._fail_launch(
                    extension, "TooManyExtensions", f"Extension limit ({MOST_EXTENSIONS}) reached"
                )
                return

    def register(self, name: str, events: Sequence[str]) -> Extension:
        """An extension presents itself; a name that was not launched is an internal one's."""
        extension = self._by_name.get(name)
        external = extension is not None and extension.external
        for event in events:
            if event not in ((INVOKE, SHUTDOWN) if external else (INVOKE,)):
                whose = "an external" if external else "an internal"
                raise Refused("Extension.InvalidEventType", f"{event}: not an event for {whose} extension")
        if extension is None:
            extension = self._register_internal(name)
        elif not external:
            raise Refused("Extension.InvalidExtensionState", "Extension with this name already registered")
        elif extension.state is not ExtensionState.STARTED:
            raise _wrong_state(extension, ExtensionState.REGISTERED)
        extension.state = ExtensionState.REGISTERED
        extension.events = tuple(dict.fromkeys(events))
        if external and not self._any_in(ExtensionState.STARTED):
            self._listener.extensions_registered()
        return extension

    def close_registration(self) -> None:
        """The runtime is ready: nobody may join any more."""
        self._open = False

    @property
    def registration_open(self) -> bool:
        """Extensions may join, and subscribe to telemetry."""
        return self._open

    def next(self, identifier: str, deliver: Deliver) -> None:
        """An extension has done its part and asks for the next event; `deliver` is called now or later."""
        extension = self.find(identifier)
        if extension.state is ExtensionState.READY and extension.deliver is None:
            pass  # it lost the connection on which it waited
        elif extension.state not in (ExtensionState.REGISTERED, ExtensionState.RUNNING):
            raise _wrong_state(extension, ExtensionState.READY)
        extension.state = ExtensionState.READY
        extension.deliver = deliver
        if extension.answer is not None:
            self._hand_over(extension, extension.answer)
        elif extension in self._pending:
            self._pending.discard(extension)
            if not self._pending:
                self._listener.extensions_quiet()

    def hang_up(self, deliver: Deliver) -> None:
        """The connection on which a `next` waited is gone; the extension may ask again."""
        for extension in self._by_name.values():
            if extension.deliver == deliver:
                extension.deliver = None

    def invoke(self, request_id: str, deadline_ms: int, invoked_arn: str, trace_header: str) -> None:
        """A run begins."""
        for extension in self._by_name.values():
            if INVOKE in extension.events:
                self._pending.add(extension)
                answer = invoke_answer(request_id, deadline_ms, invoked_arn, trace_header)
                self._hand_over(extension, answer)

    def shut_down(self, reason: str, deadline_ms: int) -> None:
        """The environment ends: tell those that want to know."""
        self._pending.clear()
        for extension in self.shutting_down:
            self._hand_over(extension, shutdown_answer(reason, deadline_ms))

    def report_error(self, identifier: str, error_type: str, *, init: bool) -> None:
        """An extension cannot go on."""
        extension = self.find(identifier)
        goal = ExtensionState.INIT_ERROR if init else ExtensionState.EXIT_ERROR
        allowed = [ExtensionState.REGISTERED, goal]
        if not init:
            allowed += [ExtensionState.READY, ExtensionState.RUNNING]
        if extension.state not in allowed:
            raise _wrong_state(extension, goal)
        extension.state, extension.error_type = goal, error_type
        self._fatal = self._fatal or (INIT_ERROR if init else EXIT_ERROR)
        self._listener.extension_reported(self._fatal)

    def launch_failed(self, name: str, path: str, error: str) -> None:
        """A program could not be executed."""
        if name not in self._by_name:
            return
        kind = "PermissionDenied" if error == "permission denied" else "UnknownError"
        self._fail_launch(self._by_name[name], kind, f"fork/exec {path}: {error}")

    def exited(self, name: str, cause: str) -> None:
        """The process of an external extension has ended."""
        extension = self._by_name.get(name)
        if extension is None:
            return
        if extension.state not in (ExtensionState.INIT_ERROR, ExtensionState.EXIT_ERROR):
            extension.error_type = CRASH
        extension.state = ExtensionState.EXITED
        extension.deliver = None
        self._listener.extension_failed(self._fatal or CRASH, cause)

    def _register_internal(self, name: str) -> Extension:
        if not self._open:
            raise Refused("Extension.RegistrationClosed", "Extension registration closed already")
        if len(self._by_name) >= MOST_EXTENSIONS:
            raise Refused("Extension.TooManyExtensions", TOO_MANY)
        extension = self._add(Extension(name, external=False))
        self._pending.add(extension)
        return extension

    def _add(self, extension: Extension) -> Extension:
        self._by_name[extension.name] = extension
        self._by_identifier[extension.identifier] = extension
        return extension

    def _any_in(self, state: ExtensionState) -> bool:
        return any(each.state is state for each in self._by_name.values())

    def _hand_over(self, extension: Extension, answer: bytes) -> None:
        if extension.deliver is None:
            extension.answer = answer
            return
        deliver, extension.deliver, extension.answer = extension.deliver, None, None
        extension.state = ExtensionState.RUNNING
        deliver(answer)

    def _fail_launch(self, extension: Extension, kind: str, cause: str) -> None:
        extension.state, extension.error_type = ExtensionState.LAUNCH_ERROR, kind
        self._fatal = self._fatal or LAUNCH_ERROR
        self._listener.extension_failed(LAUNCH_ERROR, cause)


def _unknown(identifier: str) -> Refused:
    try:
        uuid.UUID(identifier)
    except ValueError:
        return Refused("Extension.InvalidExtensionIdentifier", "Invalid Lambda-Extension-Identifier")
    return Refused("Extension.UnknownExtensionIdentifier", f"Unknown extension {identifier}")


def _wrong_state(extension: Extension, goal: ExtensionState) -> Refused:
    message = (
        f"State transition from {extension.state.value} to {goal.value} failed for extension "
        f"{extension.name}. Error: State transition is not allowed"
    )
    return Refused("Extension.InvalidExtensionState", message)
