"""Where a Kafka cluster is and how to speak to it: from URL and options to the driver's properties.

Pure: whether the driver (confluent-kafka, the extra `kafka`) is installed does not matter here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

KAFKA_SCHEMES = ("kafka", "kafkas", "confluentkafka")
"""`kafkas` is over TLS; `confluentkafka` is kombu's name for the first."""
_TLS_SCHEME = "kafkas"
_PORT = 9092

SECRET_OPTIONS = ("sasl.password", "ssl.key.password", "ssl.key.pem")
_OPTIONS = frozenset(
    {
        "broker.address.family",
        "check.crcs",
        "client.id",
        "client.rack",
        "enable.ssl.certificate.verification",
        "fetch.max.bytes",
        "fetch.min.bytes",
        "fetch.wait.max.ms",
        "isolation.level",
        "max.partition.fetch.bytes",
        "metadata.max.age.ms",
        "queued.max.messages.kbytes",
        "receive.message.max.bytes",
        "sasl.mechanism",
        "sasl.mechanisms",
        "sasl.password",
        "sasl.username",
        "security.protocol",
        "socket.keepalive.enable",
        "socket.timeout.ms",
        "ssl.ca.location",
        "ssl.ca.pem",
        "ssl.certificate.location",
        "ssl.certificate.pem",
        "ssl.endpoint.identification.algorithm",
        "ssl.key.location",
        "ssl.key.password",
        "ssl.key.pem",
    }
)
"""Properties that a trigger may set. Not among them: what decides about commits and positions, which is ours,
and what would run commands or load libraries on this machine (`sasl.kerberos.kinit.cmd`,
`plugin.library.paths`, ...)."""


def bootstrap_servers(url: str) -> str:
    """`host:port` of each server in the URL, joined by commas. Raises ValueError."""
    servers = []
    for place in _places(url).split(","):
        host, _, port = place.rpartition(":") if _has_port(place) else (place, "", str(_PORT))
        if not host or not port.isdigit() or not 0 < int(port) < 65_536:
            raise ValueError(f"url names the Kafka server {place!r}; write host:port, joined by commas")
        servers.append(f"{host}:{port}")
    return ",".join(servers)


def refuse_unknown(options: Mapping[str, Any]) -> None:
    """Raises ValueError for a transport option that a Kafka trigger does not take."""
    for name in options:
        if name not in _OPTIONS:
            known = ", ".join(sorted(_OPTIONS))
            raise ValueError(f"transport option {name!r} is not for Kafka triggers, which take: {known}")


def connection_properties(url: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """librdkafka's properties by which consumers, producers and administrators connect alike."""
    user, password = credentials(url)
    secure = url.lower().startswith(f"{_TLS_SCHEME}://")
    properties: dict[str, Any] = {
        "bootstrap.servers": bootstrap_servers(url),
        "security.protocol": ("SASL_" if user else "") + ("SSL" if secure else "PLAINTEXT"),
        "socket.timeout.ms": 10_000,
        "socket.keepalive.enable": True,
        "reconnect.backoff.max.ms": 2_000,
        "log_level": 0,  # what matters is reported
    }
    if user:
        properties |= {"sasl.mechanism": "PLAIN", "sasl.username": user, "sasl.password": password}
    if "sasl.mechanisms" in options:
        properties.pop("sasl.mechanism", None)  # another name of the same
    return properties | dict(options)


def credentials(url: str) -> tuple[str, str]:
    """User and password; empty where the URL has none."""
    user, _, password = url.partition("://")[2].rpartition("@")[0].partition(":")
    return unquote(user), unquote(password)


def _places(url: str) -> str:
    places = url.partition("://")[2].rpartition("@")[2]
    for end in "?#/":
        places = places.partition(end)[0]
    return places


def _has_port(place: str) -> bool:
    return ":" in place.rpartition("]")[2]
