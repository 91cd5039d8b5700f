"""Settings of a route: which requests it takes, who may call it, how often, and how its function is asked."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

import msgspec

from triggers.http_api.cors import CorsSettings
from triggers.http_api.identity_sources import AUTHORIZATION, check_identity_source
from triggers.http_api.route_key import parse_route_key
from triggers.interface import TriggerSettings

PayloadFormat = Literal["1.0", "2.0"]

LONGEST_TIMEOUT_MS = 30_000
LONGEST_TTL_SECONDS = 3600
ALGORITHMS = (
    *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512", "EdDSA"),
)
"""What a token may be signed with: public keys only, never a shared secret and never nothing."""


class JwtSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Callers show a token of `issuer` (its OIDC discovery document leads to its keys), made for one of
    `audiences`, and with one of `scopes` where there are any."""

    issuer: str
    audiences: tuple[str, ...]
    scopes: tuple[str, ...] = ()
    identity_source: str = AUTHORIZATION
    algorithms: tuple[str, ...] = ("RS256", "RS384", "RS512")

    def __post_init__(self) -> None:
        if not self.issuer.startswith(("https://", "http://")) or "?" in self.issuer:
            raise ValueError(f"jwt.issuer {self.issuer!r} is no URL such as https://login.example.com/realm")
        if not self.audiences:
            raise ValueError("jwt.audiences is empty; name whom the issuer's tokens are made for")
        if not self.algorithms or not set(self.algorithms) <= set(ALGORITHMS):
            raise ValueError(f"jwt.algorithms must be some of {', '.join(ALGORITHMS)}")
        check_identity_source(self.identity_source)


class AuthorizerSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A function decides about callers. Its verdict is kept for `ttl_seconds` for equal identities."""

    function: str
    qualifier: str = ""
    payload_format: PayloadFormat = "2.0"
    simple_responses: bool = True
    identity_sources: tuple[str, ...] = (AUTHORIZATION,)
    ttl_seconds: int = 0

    def __post_init__(self) -> None:
        if not self.function:
            raise ValueError("authorizer.function is empty")
        if self.payload_format == "1.0" and self.simple_responses:
            raise ValueError("authorizer.simple_responses needs the payload_format 2.0: 1.0 answers policies")
        if not 0 <= self.ttl_seconds <= LONGEST_TTL_SECONDS:
            raise ValueError(f"authorizer.ttl_seconds is {self.ttl_seconds}; it must be from 0 to 3600")
        if self.ttl_seconds and not self.identity_sources:
            raise ValueError("authorizer.ttl_seconds needs an identity source to keep verdicts by")
        for expression in self.identity_sources:
            check_identity_source(expression)


class RouteSettings(TriggerSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A trigger of kind `route`. Throttling is off without `rate_per_second`."""

    route: str
    payload_format: PayloadFormat = "2.0"
    jwt: JwtSettings | None = None
    authorizer: AuthorizerSettings | None = None
    rate_per_second: float | None = None
    burst: int | None = None
    cors: CorsSettings | None = None
    timeout_ms: int = LONGEST_TIMEOUT_MS
    stage_variables: Mapping[str, str] = {}

    def __post_init__(self) -> None:
        parse_route_key(self.route)
        if self.jwt is not None and self.authorizer is not None:
            raise ValueError("a route has either jwt or authorizer, not both")
        if not 50 <= self.timeout_ms <= LONGEST_TIMEOUT_MS:
            raise ValueError(f"timeout_ms is {self.timeout_ms}; it must be from 50 to {LONGEST_TIMEOUT_MS}")
        self._check_throttling()

    @property
    def exclusive_key(self) -> str:
        """Two routes that take exactly the same requests cannot be."""
        return parse_route_key(self.route).shape

    @property
    def burst_or_default(self) -> int:
        """One second's worth, where only the rate is said."""
        return self.burst if self.burst is not None else max(1, math.ceil(self.rate_per_second or 1))

    def _check_throttling(self) -> None:
        if self.burst is not None and self.rate_per_second is None:
            raise ValueError("burst needs rate_per_second")
        if self.rate_per_second is not None and not 0 < self.rate_per_second <= 1_000_000:
            raise ValueError(
                f"rate_per_second is {self.rate_per_second}; it must be above 0, at most 1000000"
            )
        if self.burst is not None and not 1 <= self.burst <= 1_000_000:
            raise ValueError(f"burst is {self.burst}; it must be from 1 to 1000000")
