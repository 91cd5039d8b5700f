"""The public keys of a token issuer: found by OIDC discovery, cached, and followed when they rotate."""

from __future__ import annotations

import asyncio
import http.client
import time
import urllib.error
import urllib.request
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

import jwt
import msgspec

FRESH_SECONDS = 900.0
"""How long keys are used before the issuer is asked again."""
STALE_SECONDS = 24 * 3600.0
"""How long keys are used while the issuer cannot be reached."""
ROTATION_PAUSE_SECONDS = 30.0
"""Tokens with unknown keys make us ask at most this often: anybody can invent such tokens."""
LONGEST_BACK_OFF_SECONDS = 60.0
_TIMEOUT_SECONDS = 5.0
_LIMIT_BYTES = 1 << 20

Fetch = Callable[[str], Awaitable[Any]]


class IssuerUnavailable(Exception):
    """The issuer's documents cannot be had, or are none."""


class UnknownKey(Exception):
    """The issuer has no key of that id."""


class IssuerKey(msgspec.Struct, frozen=True):
    """A public key, and the one algorithm that it is for; empty where the issuer does not say."""

    key: Any
    algorithm: str


async def fetch_json(url: str) -> Any:
    """A JSON document; redirects are not followed. Raises IssuerUnavailable."""
    try:
        async with asyncio.timeout(2 * _TIMEOUT_SECONDS):
            return msgspec.json.decode(await asyncio.to_thread(_get, url))
    except (OSError, http.client.HTTPException, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise IssuerUnavailable(f"{url}: {error or type(error).__name__}") from error


class IssuerKeys:
    """Keys of one issuer, for one event loop."""

    def __init__(
        self, issuer: str, fetch: Fetch = fetch_json, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._issuer = issuer
        self._fetch = fetch
        self._clock = clock
        self._keys: Mapping[str, IssuerKey] = {}
        self._fetched_at: float | None = None
        self._next_fetch_at = float("-inf")
        self._failures = 0
        self._fetching = asyncio.Lock()

    async def find(self, key_id: str) -> IssuerKey:
        """The key of a token's `kid`. Raises UnknownKey, IssuerUnavailable."""
        key = self._known(key_id)
        if key is not None and (self._age_seconds() < FRESH_SECONDS or self._fetching.locked()):
            return key
        async with self._fetching:
            if self._known(key_id) is None or self._age_seconds() >= FRESH_SECONDS:
                await self._refresh()
        key = self._known(key_id)
        if key is not None:
            return key
        if self._failures or self._fetched_at is None:
            raise IssuerUnavailable(f"the keys of {self._issuer} cannot be had at the moment")
        raise UnknownKey(f"{self._issuer} has no key {key_id!r}")

    def _known(self, key_id: str) -> IssuerKey | None:
        return self._keys.get(key_id) if self._age_seconds() < STALE_SECONDS else None

    def _age_seconds(self) -> float:
        return float("inf") if self._fetched_at is None else self._clock() - self._fetched_at

    async def _refresh(self) -> None:
        """Ask the issuer, unless it was asked a moment ago. A failure leaves what was known."""
        now = self._clock()
        if now < self._next_fetch_at:
            return
        try:
            self._keys = await self._fetch_keys()
        except IssuerUnavailable:
            self._failures += 1
            self._next_fetch_at = now + min(LONGEST_BACK_OFF_SECONDS, 2.0 ** min(self._failures, 10) / 2)
            return
        self._failures = 0
        self._fetched_at = now
        self._next_fetch_at = now + ROTATION_PAUSE_SECONDS

    async def _fetch_keys(self) -> Mapping[str, IssuerKey]:
        base = self._issuer.rstrip("/")
        discovery = await self._fetch(f"{base}/.well-known/openid-configuration")
        if not isinstance(discovery, dict) or str(discovery.get("issuer")).rstrip("/") != base:
            raise IssuerUnavailable(f"the discovery document at {base} is another issuer's")
        jwks_uri = discovery.get("jwks_uri")
        if not isinstance(jwks_uri, str) or not _is_as_safe(jwks_uri, base):
            raise IssuerUnavailable(f"the discovery document of {base} has the jwks_uri {jwks_uri!r}")
        return _read_keys(await self._fetch(jwks_uri))


def _is_as_safe(url: str, base: str) -> bool:
    scheme = urlsplit(url).scheme
    return scheme == "https" or (scheme == "http" and urlsplit(base).scheme == "http")


def _read_keys(document: Any) -> Mapping[str, IssuerKey]:
    """Signature keys by id; those of kinds that we do not know are left out."""
    listed = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(listed, list):
        raise IssuerUnavailable("the key set has no list of keys")
    keys: dict[str, IssuerKey] = {}
    for item in listed:
        if not isinstance(item, dict) or item.get("use", "sig") != "sig" or item.get("kty") == "oct":
            continue
        try:
            keys[str(item["kid"])] = IssuerKey(jwt.PyJWK(item).key, str(item.get("alg", "")))
        except (jwt.PyJWTError, KeyError, ValueError, TypeError):
            continue
    return keys


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *arguments: Any, **named: Any) -> None:
        return None


def _get(url: str) -> bytes:
    opener = urllib.request.build_opener(_NoRedirect)
    request = urllib.request.Request(url, headers={"accept": "application/json"})
    with opener.open(request, timeout=_TIMEOUT_SECONDS) as response:
        body: bytes = response.read(_LIMIT_BYTES + 1)
    if len(body) > _LIMIT_BYTES:
        raise OSError(f"the document has more than {_LIMIT_BYTES} bytes")
    return body
