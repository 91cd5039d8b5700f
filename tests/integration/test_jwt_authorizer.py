"""Tokens of a real issuer on loopback, which rotates its keys and fails at times."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.oidc_issuer import OidcIssuer, oidc_issuer
from triggers.http_api.issuer_keys import FRESH_SECONDS, ROTATION_PAUSE_SECONDS, STALE_SECONDS, IssuerKeys
from triggers.http_api.jwt_authorizer import InsufficientScope, Unauthorized, authorize, shown
from triggers.http_api.settings import JwtSettings


@pytest.fixture
def issuer() -> Iterator[OidcIssuer]:
    with oidc_issuer() as running:
        yield running


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def keys(issuer: OidcIssuer, clock: Clock) -> IssuerKeys:
    return IssuerKeys(issuer.url, clock=clock)


def settings(issuer: OidcIssuer, **changes: Any) -> JwtSettings:
    return JwtSettings(**({"issuer": issuer.url, "audiences": ("shop", "other")} | changes))


async def refused(issuer: OidcIssuer, keys: IssuerKeys, token: str, **changes: Any) -> str:
    with pytest.raises(Unauthorized) as error:
        await authorize(token, settings(issuer, **changes), keys)
    return str(error.value)


async def test_a_good_token_is_taken_with_bearer_and_without(issuer: OidcIssuer, keys: IssuerKeys) -> None:
    token = issuer.token()
    for identity in (token, f"Bearer {token}", f"bearer {token}"):
        assert (await authorize(identity, settings(issuer), keys))["sub"] == "me"
    assert issuer.asked == ["/.well-known/openid-configuration", "/keys"]


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"exp": 1}, "the token has expired"),
        ({"exp": None}, "the token is invalid"),
        ({"nbf": 4_000_000_000}, "the token is not valid yet"),
        ({"iat": 4_000_000_000}, "the token is not valid yet"),
        ({"iss": "https://evil.example.com"}, "the token does not have a valid issuer"),
        ({"iss": None}, "the token is invalid"),
        ({"aud": "elsewhere"}, "the token does not have a valid audience"),
        ({"aud": None}, "the token does not have a valid audience"),
        ({"aud": ["x", "y"]}, "the token does not have a valid audience"),
    ],
)
async def test_a_token_with_wrong_claims_is_refused(
    issuer: OidcIssuer, keys: IssuerKeys, claims: dict[str, Any], reason: str
) -> None:
    assert await refused(issuer, keys, issuer.token(**claims)) == reason


async def test_the_audience_may_be_one_of_many_or_the_client_id(issuer: OidcIssuer, keys: IssuerKeys) -> None:
    for claims in ({"aud": ["x", "other"]}, {"aud": None, "client_id": "shop"}):
        assert await authorize(issuer.token(**claims), settings(issuer), keys)


async def test_tokens_that_nobody_could_have_signed_well_do_not_reach_the_issuer(
    issuer: OidcIssuer, keys: IssuerKeys
) -> None:
    unsigned = jwt.encode({"sub": "me"}, "", "none", headers={"kid": issuer.key_id})
    secret = jwt.encode({"sub": "me"}, "x" * 64, "HS256", headers={"kid": issuer.key_id})
    assert await refused(issuer, keys, unsigned) == "signing method none is invalid"
    assert await refused(issuer, keys, secret) == "signing method HS256 is invalid"
    assert await refused(issuer, keys, "no.token") == "the token cannot be decoded"
    assert await refused(issuer, keys, issuer.token(headers={"kid": ""})) == "the token has no key id"
    assert await refused(issuer, keys, "Bearer ") == ""
    assert issuer.asked == []


async def test_a_public_key_is_no_secret_to_sign_with(issuer: OidcIssuer, keys: IssuerKeys) -> None:
    """The classic confusion: HS256 with the published key as its secret."""
    header = base64.urlsafe_b64encode(b'{"alg":"HS256","kid":"key-1"}').rstrip(b"=").decode()
    _, claims, signature = issuer.token().split(".")
    assert await refused(issuer, keys, f"{header}.{claims}.{signature}") == "signing method HS256 is invalid"


async def test_another_key_or_a_changed_claim_breaks_the_signature(
    issuer: OidcIssuer, keys: IssuerKeys
) -> None:
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    assert await refused(issuer, keys, issuer.token(key=other)) == "the token's signature is invalid"
    header, _, signature = issuer.token().split(".")
    told = {"iss": issuer.url, "aud": "shop", "exp": time.time() + 60}
    claims = base64.urlsafe_b64encode(json.dumps(told).encode()).rstrip(b"=").decode()
    assert await refused(issuer, keys, f"{header}.{claims}.{signature}") == "the token's signature is invalid"


async def test_a_key_is_used_only_as_it_is_meant(issuer: OidcIssuer, keys: IssuerKeys) -> None:
    other = jwt.encode({"sub": "me"}, issuer.key, "RS512", headers={"kid": issuer.key_id})
    assert await refused(issuer, keys, other) == "the token is not signed as its key is to be used"


async def test_one_of_the_scopes_is_enough_and_none_is_not(issuer: OidcIssuer, keys: IssuerKeys) -> None:
    wanted = settings(issuer, scopes=("orders:read", "admin"))
    enough: list[dict[str, Any]] = [{"scope": "orders:read x"}, {"scp": ["admin"]}]
    for claims in enough:
        assert await authorize(issuer.token(**claims), wanted, keys)
    too_little: list[dict[str, Any]] = [{}, {"scope": "orders:write"}, {"scope": 7}]
    for claims in too_little:
        with pytest.raises(InsufficientScope):
            await authorize(issuer.token(**claims), wanted, keys)


async def test_a_rotated_key_is_found_and_the_old_one_is_gone(
    issuer: OidcIssuer, keys: IssuerKeys, clock: Clock
) -> None:
    old = issuer.token()
    assert await authorize(old, settings(issuer), keys)
    issuer.rotate()
    assert "does not have" in await refused(issuer, keys, issuer.token())
    clock.now += ROTATION_PAUSE_SECONDS
    assert await authorize(issuer.token(), settings(issuer), keys)
    assert "does not have" in await refused(issuer, keys, old)


async def test_invented_keys_do_not_make_us_ask_again_and_again(issuer: OidcIssuer, keys: IssuerKeys) -> None:
    assert await authorize(issuer.token(), settings(issuer), keys)
    for number in range(20):
        await refused(issuer, keys, issuer.token(headers={"kid": f"invented-{number}"}))
    assert len(issuer.asked) == 2


async def test_an_issuer_that_fails_is_left_alone_for_a_while_and_comes_back(
    issuer: OidcIssuer, keys: IssuerKeys, clock: Clock
) -> None:
    issuer.broken = True
    for _ in range(5):
        assert await refused(issuer, keys, issuer.token()) == "OIDC discovery endpoint communication error"
    assert len(issuer.asked) == 1
    issuer.broken = False
    clock.now += 1
    assert await authorize(issuer.token(), settings(issuer), keys)


async def test_known_keys_last_while_the_issuer_is_away_but_not_for_ever(
    issuer: OidcIssuer, keys: IssuerKeys, clock: Clock
) -> None:
    assert await authorize(issuer.token(), settings(issuer), keys)
    issuer.broken = True
    clock.now += FRESH_SECONDS
    assert await authorize(issuer.token(), settings(issuer), keys)
    assert len(issuer.asked) == 3
    clock.now += STALE_SECONDS
    assert await refused(issuer, keys, issuer.token()) == "OIDC discovery endpoint communication error"


@pytest.mark.parametrize(
    "document",
    [
        {"issuer": "https://other.example.com", "jwks_uri": "https://other.example.com/keys"},
        {"issuer": "SELF", "jwks_uri": "file:///etc/passwd"},
        {"issuer": "SELF", "jwks_uri": 7},
        ["nonsense"],
    ],
)
async def test_a_discovery_document_that_leads_astray_is_not_followed(
    issuer: OidcIssuer, keys: IssuerKeys, document: Any
) -> None:
    if isinstance(document, dict) and document["issuer"] == "SELF":
        document = document | {"issuer": issuer.url}
    issuer.changes["/.well-known/openid-configuration"] = document
    assert await refused(issuer, keys, issuer.token()) == "OIDC discovery endpoint communication error"
    assert issuer.asked == ["/.well-known/openid-configuration"]


async def test_an_issuer_that_does_not_listen_is_a_refusal_too() -> None:
    with oidc_issuer() as gone:
        token = gone.token()
    away = IssuerKeys(gone.url)
    assert await refused(gone, away, token) == "OIDC discovery endpoint communication error"


def test_claims_are_shown_as_aws_shows_them() -> None:
    wanted = JwtSettings(issuer="https://i", audiences=("a",), scopes=("x",))
    claims = {"sub": "me", "exp": 1, "admin": True, "groups": ["a", "b"], "scope": "x y", "more": {"k": 1}}
    words = {
        "sub": "me",
        "exp": "1",
        "admin": "true",
        "groups": "[a b]",
        "scope": "x y",
        "more": '{"k":1}',
    }
    assert shown(claims, wanted, "2.0") == {"jwt": {"claims": words, "scopes": ["x", "y"]}}
    open_to_all_scopes = JwtSettings(issuer="https://i", audiences=("a",))
    assert shown(claims, open_to_all_scopes, "1.0") == {"claims": words, "scopes": None}
