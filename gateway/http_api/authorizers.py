"""May this request go on to its route's function? Tokens are looked at here, Lambda authorizers are asked."""

from __future__ import annotations

import logging
from typing import Any

import msgspec

from broker.invocation import new_request_id
from gateway.function_calls import FunctionCalls, Gone
from gateway.http_api.answers import forbidden, internal_error, unauthorized
from gateway.http_api.calling import call_function
from gateway.http_api.routes import Route
from gateway.http_api.verdict_cache import VerdictCache
from triggers.events.http_request import HttpRequest
from triggers.http_api import jwt_authorizer
from triggers.http_api.identity_sources import identity_of
from triggers.http_api.issuer_keys import IssuerKeys
from triggers.http_api.jwt_authorizer import InsufficientScope, Unauthorized
from triggers.http_api.lambda_authorizer import (
    MalformedVerdict,
    Verdict,
    authorizer_event,
    read_verdict,
    route_arn,
)
from triggers.http_api.settings import AuthorizerSettings, JwtSettings

log = logging.getLogger(__name__)

_PATIENCE_SECONDS = 30.0


class Authorizers:
    """Authorizes the requests of one gateway; keeps issuers' keys and authorizers' verdicts."""

    def __init__(self, calls: FunctionCalls, region: str) -> None:
        self._calls = calls
        self._region = region
        self._keys: dict[str, IssuerKeys] = {}
        self._verdicts = VerdictCache()

    async def by_token(self, route: Route, request: HttpRequest) -> dict[str, Any] | None:
        """What the event has under `requestContext.authorizer`; None where the route wants no token.

        Needs no body, so that strangers cannot make us take theirs. Raises Refusal.
        """
        settings = route.settings
        if settings.jwt is None:
            return None
        claims = await self._claims(request, settings.jwt)
        return jwt_authorizer.shown(claims, settings.jwt, settings.payload_format)

    async def by_function(
        self, route: Route, request: HttpRequest, trace: tuple[str, str], gone: Gone
    ) -> dict[str, Any] | None:
        """The same of a Lambda authorizer; None where the route has none. Raises Refusal, CallerGone."""
        settings = route.settings
        if settings.authorizer is None:
            return None
        verdict = await self._verdict(request, settings.authorizer, trace, gone)
        return verdict.shown(settings.payload_format)

    async def _claims(self, request: HttpRequest, settings: JwtSettings) -> dict[str, Any]:
        identity = identity_of(request, [settings.identity_source])
        if identity is None:
            raise unauthorized("Bearer")
        keys = self._keys.get(settings.issuer)
        if keys is None:
            keys = self._keys[settings.issuer] = IssuerKeys(settings.issuer)
        scopes = " ".join(settings.scopes).replace('"', "")
        try:
            return await jwt_authorizer.authorize(identity[0], settings, keys)
        except Unauthorized as error:
            log.info(
                "token_refused", extra={"issuer": settings.issuer, "reason": str(error.__cause__ or error)}
            )
            raise unauthorized(_challenge(scopes, "invalid_token", str(error))) from error
        except InsufficientScope as error:
            raise forbidden(_challenge(scopes, "insufficient_scope", str(error))) from error

    async def _verdict(
        self, request: HttpRequest, settings: AuthorizerSettings, trace: tuple[str, str], gone: Gone
    ) -> Verdict:
        identity = identity_of(request, settings.identity_sources)
        if identity is None:
            raise unauthorized()
        arn = route_arn(request, self._region)
        verdict = self._verdicts.get((settings, identity))
        try:
            if verdict is None:
                verdict = await self._ask(request, settings, identity, arn, trace, gone)
                self._verdicts.put((settings, identity), verdict, settings.ttl_seconds)
            allowed = verdict.allows(arn)
        except MalformedVerdict as error:
            log.warning("authorizer_failed", extra={"function": settings.function, "reason": str(error)})
            raise internal_error() from error
        if not allowed:
            raise forbidden()
        return verdict

    async def _ask(
        self,
        request: HttpRequest,
        settings: AuthorizerSettings,
        identity: tuple[str, ...],
        arn: str,
        trace: tuple[str, str],
        gone: Gone,
    ) -> Verdict:
        event = authorizer_event(request, settings.payload_format, identity, arn)
        function = settings.function, settings.qualifier
        reply = await call_function(
            self._calls,
            function,
            msgspec.json.encode(event),
            new_request_id(),
            trace,
            _PATIENCE_SECONDS,
            gone,
        )
        if reply.failure:
            raise MalformedVerdict(f"the authorizer's function failed: {reply.failure}")
        return read_verdict(reply.payload, simple=settings.simple_responses)


def _challenge(scopes: str, error: str, description: str) -> str:
    if not description:
        return "Bearer"
    return f'Bearer scope="{scopes}" error="{error}" error_description="{description}"'
