"""JWT authorizers: is this token good, is it for us, and what does it say?

https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-jwt-authorizer.html
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jwt
import msgspec

from triggers.http_api.issuer_keys import IssuerKeys, IssuerUnavailable, UnknownKey
from triggers.http_api.settings import JwtSettings


class Unauthorized(Exception):
    """There is no good token: 401. The text goes into `www-authenticate`; empty where there is no token."""


class InsufficientScope(Exception):
    """The token is good, but not for this route: 403."""


async def authorize(identity: str, settings: JwtSettings, keys: IssuerKeys) -> dict[str, Any]:
    """The claims of the token in `identity` (`Bearer TOKEN` or the token alone).

    Raises Unauthorized, InsufficientScope.
    """
    token = _token(identity)
    claims = _verified(token, (await _key(token, settings, keys)), settings)
    audience = claims.get("aud", claims.get("client_id"))
    audiences = audience if isinstance(audience, list) else [audience]
    if not set(settings.audiences) & {item for item in audiences if isinstance(item, str)}:
        raise Unauthorized("the token does not have a valid audience")
    if settings.scopes and not set(settings.scopes) & set(scopes_of(claims)):
        raise InsufficientScope("the token does not have a required scope")
    return claims


def scopes_of(claims: Mapping[str, Any]) -> list[str]:
    """The scopes that a token was given, in `scope` or `scp`: a list, or text with blanks between."""
    given = claims.get("scope", claims.get("scp", ""))
    if isinstance(given, list):
        return [item for item in given if isinstance(item, str)]
    return given.split() if isinstance(given, str) else []


def shown(claims: Mapping[str, Any], settings: JwtSettings, payload_format: str) -> dict[str, Any]:
    """As the route's function finds it under `requestContext.authorizer`. AWS makes every claim a text."""
    words = {name: _as_text(value) for name, value in claims.items()}
    scopes = scopes_of(claims) if settings.scopes else None
    told = {"claims": words, "scopes": scopes}
    return {"jwt": told} if payload_format == "2.0" else told


def _token(identity: str) -> str:
    words = identity.split()
    if words and words[0].lower() == "bearer":
        words = words[1:]
    if len(words) != 1:
        raise Unauthorized("")
    return words[0]


async def _key(token: str, settings: JwtSettings, keys: IssuerKeys) -> Any:
    """The issuer's key for a token. A token that cannot be good does not make us ask the issuer."""
    try:
        header = jwt.get_unverified_header(token)
    except jwt.PyJWTError as error:
        raise Unauthorized("the token cannot be decoded") from error
    algorithm, key_id = header.get("alg"), header.get("kid")
    if algorithm not in settings.algorithms:
        raise Unauthorized(f"signing method {_printable(algorithm)} is invalid")
    if not isinstance(key_id, str) or not key_id:
        raise Unauthorized("the token has no key id")
    try:
        key = await keys.find(key_id)
    except IssuerUnavailable as error:
        raise Unauthorized("OIDC discovery endpoint communication error") from error
    except UnknownKey as error:
        raise Unauthorized("the token is signed with a key that the issuer does not have") from error
    if key.algorithm and key.algorithm != algorithm:
        raise Unauthorized("the token is not signed as its key is to be used")
    return key.key


def _verified(token: str, key: Any, settings: JwtSettings) -> dict[str, Any]:
    options: Any = {"require": ["exp", "iss"], "verify_aud": False}
    try:
        return jwt.decode(
            token, key, algorithms=list(settings.algorithms), issuer=settings.issuer, options=options
        )
    except jwt.ExpiredSignatureError as error:
        raise Unauthorized("the token has expired") from error
    except jwt.ImmatureSignatureError as error:
        raise Unauthorized("the token is not valid yet") from error
    except jwt.InvalidIssuerError as error:
        raise Unauthorized("the token does not have a valid issuer") from error
    except jwt.InvalidSignatureError as error:
        raise Unauthorized("the token's signature is invalid") from error
    except (jwt.PyJWTError, ValueError, TypeError) as error:
        raise Unauthorized("the token is invalid") from error


def _as_text(value: Any) -> str:
    """Lists as AWS prints them: `[a b]`; truth values, numbers and objects as JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return f"[{' '.join(map(_as_text, value))}]"
    return msgspec.json.encode(value).decode()


def _printable(value: Any) -> str:
    """What a stranger sent, safe to put into a header."""
    return "".join(char for char in str(value)[:20] if char.isascii() and (char.isalnum() or char in "-_"))
