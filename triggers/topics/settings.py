"""Settings of a `topic` trigger: an HTTP(S) subscriber of SNS-like topics."""

from __future__ import annotations

import re
import secrets
from typing import Self

import msgspec
from msgspec.structs import replace

from triggers.interface import TriggerSettings
from triggers.topics.trusted_hosts import is_host

HIDDEN = "************************"
LONGEST_AGE_SECONDS = 86_400
_ARN = re.compile(r"arn:[a-z0-9-]*:sns:[a-z0-9-]*:[^:\s]*:[^:\s]+")


class TopicSettings(TriggerSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`topic_arns`: whose messages are taken. `trusted_hosts`: `host` or `host:port` from which signing
    certificates are fetched and at which subscriptions are confirmed; none stands for AWS's own.
    `ca_file`: authorities, on the gateways' machines, that those hosts are verified with.
    `max_age_seconds`: how old a message may be. `raw_delivery`: take messages without SNS's envelope, which
    carry no signature, so the subscribed URL must end in `?token=TOKEN`.
    """

    topic_arns: tuple[str, ...]
    trusted_hosts: tuple[str, ...] = ()
    ca_file: str = ""
    max_age_seconds: int = 3600
    raw_delivery: bool = False
    token: str = msgspec.field(default_factory=lambda: secrets.token_urlsafe(24))

    def __post_init__(self) -> None:
        if not self.topic_arns:
            raise ValueError("topic_arns is empty; name the topics whose messages are taken")
        for arn in self.topic_arns:
            if not _ARN.fullmatch(arn):
                raise ValueError(f"topic_arns: {arn!r} is no topic's ARN (arn:aws:sns:REGION:ACCOUNT:NAME)")
        for host in self.trusted_hosts:
            if not is_host(host):
                raise ValueError(f"trusted_hosts: {host!r} is neither host nor host:port")
        if not 1 <= self.max_age_seconds <= LONGEST_AGE_SECONDS:
            raise ValueError(f"max_age_seconds is {self.max_age_seconds}; it must be 1-{LONGEST_AGE_SECONDS}")
        if len(self.token) < 16:
            raise ValueError("token is too short; give at least 16 characters, or none to have one made")

    def masked(self) -> Self:
        return replace(self, token=HIDDEN)
