"""What connects an environment with its process: output, channel, Runtime API, and its extensions' lines."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from typing import Protocol

from worker.environments.channel import ChannelListener, RuntimeChannel
from worker.environments.extensions import Extensions
from worker.environments.interface import EnvironmentSpec, OnOutput
from worker.environments.output_pipe import OutputPipe
from worker.runtime_api.extension_session import ExtensionsListener
from worker.runtime_api.listener import RuntimeApiListener
from worker.runtime_api.peer import is_from
from worker.runtime_api.routes import Api
from worker.sandbox.interface import SandboxProcess
from worker.telemetry.subscription import Subscription


class LinesListener(ChannelListener, ExtensionsListener, Protocol):
    """Who hears what runtime and extensions say."""


class ProcessLines:
    """Of one environment. With `own_network` the Runtime API is listened for inside. Raises OSError."""

    def __init__(
        self,
        spec: EnvironmentSpec,
        listener: LinesListener,
        make_channel: Callable[[ChannelListener], RuntimeChannel],
        on_output: OnOutput,
        *,
        own_network: bool,
    ) -> None:
        self.extensions = Extensions(spec, on_output, listener)
        self.output = OutputPipe(on_output)
        try:
            self.channel = make_channel(listener)
        except OSError:
            self.output.close()
            self.extensions.close()
            raise
        if self.extensions.phases is not None:
            self.output.redirect(self.extensions.function_wrote)
        api = Api(self.channel.session, self.extensions.session, spec, self._subscribe, self._admits)
        self._api = RuntimeApiListener(api, inside=own_network)
        self._process: SandboxProcess | None = None

    def open(self) -> Mapping[str, str]:
        """Be ready to hear; the variables by which processes find the Runtime API, if they are known here."""
        self.channel.open()
        return self._api.open()

    @property
    def api_line(self) -> socket.socket | None:
        """Over which the sandbox is to pass the Runtime API's listener, if it is to."""
        return self._api.api_line

    def process_started(self, process: SandboxProcess | None) -> None:
        """The process has its own copies of the other ends; None: there is none."""
        self._process = process
        if process is not None and process.output >= 0:
            self.output.read_instead(process.output)
        self.output.process_started()
        self.channel.process_started()
        self._api.process_started()
        self.extensions.process_started(process)

    def hang_up(self) -> None:
        """The process is gone; what it wrote can still be read from `output`. Idempotent."""
        self.channel.close()
        self._api.close()
        self.extensions.close()

    def _subscribe(self, name: str, subscription: Subscription) -> None:
        self.extensions.subscribe(name, subscription)
        self.output.redirect(self.extensions.function_wrote)

    def _admits(self, connection: socket.socket) -> bool:
        """Where each environment has a user of its own, nobody else may speak for this one."""
        process = self._process
        if process is None:
            return False  # it has never started
        if not process.uid or not process.loopback_address:
            return True  # in a network of its own there is nobody else
        return is_from(process.uid, connection)
