"""The processes that make up a system on one machine, as the supervisor runs them."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from broker.settings import Settings
from deploy.back_off import BackOff
from deploy.child import ChildSpec
from deploy.commands.isolation import AUTOMATIC, IsolationChoice
from deploy.credentials import SECRET_VARIABLE
from deploy.data_dir import DataDir
from deploy.embedded_redis import EmbeddedRedis
from deploy.local_aws import FOREIGN_VARIABLES, LocalAws

LOOPBACK = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}
"""How a gateway that listens everywhere is reached from its own machine."""

STOP_MARGIN_SECONDS = 5.0
"""What a process gets beyond its time to drain before it is killed."""


@dataclass(frozen=True, slots=True)
class UpOptions:
    """What `lightswitch up` was asked for."""

    settings: Settings
    data_dir: DataDir
    host: str
    port: int
    workers: int
    drain_seconds: float
    embedded: bool
    """Bring Redis along; else `settings.redis_url` names one that runs already."""
    example: bool = False
    local_aws: LocalAws | None = None
    """Services of AWS to bring along."""
    isolation: IsolationChoice = AUTOMATIC
    image_directories: tuple[Path, ...] = ()

    @property
    def endpoint_url(self) -> str:
        """Where this machine reaches the gateway."""
        host = LOOPBACK.get(self.host, self.host)
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"


def lightswitch_command() -> tuple[str, ...]:
    """How to start this program again: by its script where we were started through it."""
    script = Path(sys.argv[0])
    if script.name == "lightswitch":
        return (sys.executable, str(script.absolute()))
    return (sys.executable, "-m", "deploy.cli")


def redis_child(server: EmbeddedRedis) -> ChildSpec:
    """Redis comes back at once: everybody waits for it."""
    return ChildSpec("redis", server.command, server.log_file, back_off=BackOff(first_seconds=0.05))


def worker_children(options: UpOptions) -> list[ChildSpec]:
    """The workers, which are given no secret."""
    environ = _without_secret(options)
    arguments = ("worker", "--siblings", str(options.workers - 1), *options.isolation.arguments())
    return [_role(f"worker-{number + 1}", arguments, options, environ) for number in range(options.workers)]


def triggers_child(options: UpOptions) -> ChildSpec:
    """The process that serves triggers, which is given no secret."""
    return _role("triggers", ("triggers",), options, _without_secret(options))


def gateway_child(options: UpOptions) -> ChildSpec:
    """The gateway, which finds the credentials as we do."""
    arguments = ("gateway", "--host", options.host, "--port", str(options.port))
    images = [each for path in options.image_directories for each in ("--image-directory", str(path))]
    return _role("gateway", (*arguments, *images), options, _environ(options))


def _environ(options: UpOptions) -> dict[str, str]:
    local = options.local_aws
    inherited = {k: v for k, v in os.environ.items() if local is None or k not in FOREIGN_VARIABLES}
    return {
        **inherited,
        **(local.environ(options.settings.region) if local else {}),
        "LIGHTSWITCH_REDIS_URL": options.settings.redis_url,
        "AWS_ENDPOINT_URL_LAMBDA": options.endpoint_url,  # functions may invoke functions
        "PYTHONUNBUFFERED": "1",
    }


def _without_secret(options: UpOptions) -> dict[str, str]:
    return {name: value for name, value in _environ(options).items() if name != SECRET_VARIABLE}


def _role(name: str, arguments: tuple[str, ...], options: UpOptions, environ: Mapping[str, str]) -> ChildSpec:
    drain = ("--drain-seconds", f"{options.drain_seconds:g}") if name != "triggers" else ()
    where = ("--data-dir", str(options.data_dir.path))
    return ChildSpec(
        name,
        (*lightswitch_command(), *arguments, *drain, *where),
        options.data_dir.logs / f"{name}.log",
        environ,
        stop_within_seconds=options.drain_seconds + STOP_MARGIN_SECONDS,
    )
