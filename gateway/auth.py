"""Signature Version 4: who sends a request, and whether what arrived is what was signed.

The hot path of every call. What a client repeats all day (key, date, region, signed headers) is read and
derived once and kept, so that a known client costs one pass over the headers, two hashes and one HMAC.
"""

from __future__ import annotations

import calendar
import hashlib
import hmac
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from gateway.canonical import SignedHeaders, canonical_path, canonical_query
from gateway.errors import ApiError

Headers = Sequence[tuple[bytes, bytes]]
"""Raw ASGI headers: lower-case names."""

SKEW_SECONDS = 15 * 60
_ALGORITHM = b"AWS4-HMAC-SHA256"
_KNOWN_SCOPES = 1024


class AuthError(ApiError):
    """The request is refused before anybody looks at what it asks for."""

    def __init__(self, error_type: str, message: str) -> None:
        super().__init__(error_type, 403, message, fault="")


@dataclass(frozen=True, slots=True)
class Credentials:
    """A key that may sign requests. `repr` hides the secret."""

    access_key_id: str
    secret_access_key: str

    def __repr__(self) -> str:
        return f"Credentials(access_key_id={self.access_key_id!r}, secret_access_key=***)"


@dataclass(frozen=True, slots=True)
class Identity:
    """Who signed a request."""

    access_key_id: str


@dataclass(frozen=True, slots=True)
class _Scope:
    """What the first part of an Authorization header says, with the signing key derived from it."""

    identity: Identity
    date: bytes
    credential_scope: bytes
    signed_headers: SignedHeaders
    signed_headers_line: bytes
    signing: hmac.HMAC
    """Keyed and empty; a copy of it is cheaper than the key's two blocks."""


class SignatureVerifier:
    """Verifies requests signed with one of `credentials` for one region and service."""

    def __init__(
        self,
        credentials: Iterable[Credentials],
        region: str,
        service: str = "lambda",
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._credentials = {key.access_key_id.encode(): key for key in credentials}
        self._region = region.encode()
        self._service = service.encode()
        self._clock = clock
        self._scopes: dict[bytes, _Scope] = {}
        self._last_date: tuple[bytes, float] = (b"", 0.0)

    def verify(
        self, method: str, raw_path: bytes, query_string: bytes, headers: Headers, body: bytes
    ) -> Identity:
        """The signer of a request, as it arrived. Raises AuthError, worded as AWS words it.

        `raw_path` is the path as sent, still percent-encoded. A session token is neither asked for nor
        checked.
        """
        values = _by_name(headers)
        authorization = values.get(b"authorization")
        if authorization is None:
            raise AuthError("MissingAuthenticationTokenException", "Missing Authentication Token")
        head, _, signature = authorization.rpartition(b"Signature=")
        scope = self._scopes.get(head)
        fresh = scope is None
        if scope is None:
            scope = self._read_scope(head, authorization)
        date = self._checked_date(values, scope)
        _check_all_signed(values, scope.signed_headers.names)
        canonical = b"\n".join(
            (
                method.encode(),
                canonical_path(raw_path),
                canonical_query(query_string) if query_string else b"",
                scope.signed_headers.canonical(values),
                scope.signed_headers_line,
                _payload_hash(values, body),
            )
        )
        digest = hashlib.sha256(canonical).hexdigest().encode()
        to_sign = b"\n".join((_ALGORITHM, date, scope.credential_scope, digest))
        signing = scope.signing.copy()
        signing.update(to_sign)
        if not hmac.compare_digest(signing.hexdigest().encode(), signature.strip()):
            raise _mismatch()
        if fresh:
            self._remember(head, scope)
        return scope.identity

    def _remember(self, head: bytes, scope: _Scope) -> None:
        # Only heads of good signatures come here, so nobody without a key can push others out.
        if len(self._scopes) >= _KNOWN_SCOPES:
            self._scopes.clear()
        self._scopes[head] = scope

    def _read_scope(self, head: bytes, authorization: bytes) -> _Scope:
        fields = _authorization_fields(head, authorization)
        key_id, date, region, service, terminator = _credential_parts(fields[b"Credential"])
        key = self._credentials.get(key_id)
        if key is None:
            raise AuthError(
                "UnrecognizedClientException", "The security token included in the request is invalid."
            )
        self._check_scope(region, service, terminator)
        return _Scope(
            identity=Identity(key.access_key_id),
            date=date,
            credential_scope=b"/".join((date, region, service, terminator)),
            signed_headers=SignedHeaders(fields[b"SignedHeaders"].lower().split(b";")),
            signed_headers_line=fields[b"SignedHeaders"],
            signing=hmac.new(_derive_key(key.secret_access_key, date, region, service), digestmod="sha256"),
        )

    def _check_scope(self, region: bytes, service: bytes, terminator: bytes) -> None:
        if region != self._region:
            raise _invalid(
                f"Credential should be scoped to a valid region, not '{region.decode('latin-1')}'."
                f" This is '{self._region.decode()}'."
            )
        if service != self._service:
            raise _invalid(f"Credential should be scoped to correct service: '{self._service.decode()}'.")
        if terminator != b"aws4_request":
            raise _invalid(
                "Credential should be scoped with a valid terminator: 'aws4_request',"
                f" not '{terminator.decode('latin-1')}'."
            )

    def _checked_date(self, values: dict[bytes, bytes], scope: _Scope) -> bytes:
        date = values.get(b"x-amz-date")
        if date is None:
            raise _incomplete("Authorization header requires existence of a 'X-Amz-Date' header.")
        if date[:8] != scope.date:
            raise _invalid(
                "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP:"
                f" '{scope.date.decode('latin-1')}' != '{date[:8].decode('latin-1')}',"
                f" from '{date.decode('latin-1')}'."
            )
        signed_at = self._epoch(date)
        now = self._clock()
        if abs(now - signed_at) > SKEW_SECONDS:
            raise _skewed(date, signed_at, now)
        return date

    def _epoch(self, date: bytes) -> float:
        # Clients sign many requests in the same second.
        known, epoch = self._last_date
        if known != date:
            epoch = _parse_date(date)
            self._last_date = (date, epoch)
        return epoch


def _by_name(headers: Headers) -> dict[bytes, bytes]:
    values: dict[bytes, bytes] = {}
    for name, value in headers:
        if name in values:
            value = values[name] + b"," + value
        values[name] = value
    return values


def _check_all_signed(values: dict[bytes, bytes], signed: tuple[bytes, ...]) -> None:
    if b"host" not in signed:
        raise _invalid("'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.")
    for name in values:
        # A session token may be added after signing; nothing here depends on it.
        if name.startswith(b"x-amz-") and name not in signed and name != b"x-amz-security-token":
            raise _invalid(f"'{name.decode('latin-1')}' must be a 'SignedHeader' in the AWS Authorization.")


def _payload_hash(values: dict[bytes, bytes], body: bytes) -> bytes:
    computed = hashlib.sha256(body).hexdigest().encode()
    claimed = values.get(b"x-amz-content-sha256")
    if claimed is not None and claimed != computed:
        raise _invalid("The x-amz-content-sha256 header is not the SHA-256 of the body that arrived.")
    return computed


def _authorization_fields(head: bytes, authorization: bytes) -> dict[bytes, bytes]:
    algorithm, _, rest = head.strip().partition(b" ")
    if algorithm != _ALGORITHM:
        if authorization.startswith(_ALGORITHM):
            raise _incomplete("Authorization header requires 'Signature' parameter.")
        raise AuthError("MissingAuthenticationTokenException", "Missing Authentication Token")
    fields: dict[bytes, bytes] = {}
    for item in rest.split(b","):
        name, _, value = item.strip().partition(b"=")
        fields[name] = value
    missing = [name for name in (b"Credential", b"SignedHeaders") if not fields.get(name)]
    if missing:
        raise _incomplete(
            " ".join(f"Authorization header requires '{name.decode()}' parameter." for name in missing)
        )
    return fields


def _credential_parts(credential: bytes) -> tuple[bytes, bytes, bytes, bytes, bytes]:
    parts = credential.rsplit(b"/", 4)
    if len(parts) != 5:
        raise _incomplete(
            "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term,"
            f" got '{credential.decode('latin-1')}'"
        )
    return parts[0], parts[1], parts[2], parts[3], parts[4]


def _derive_key(secret: str, date: bytes, region: bytes, service: bytes) -> bytes:
    key = b"AWS4" + secret.encode()
    for part in (date, region, service, b"aws4_request"):
        key = hmac.digest(key, part, "sha256")
    return key


def _parse_date(date: bytes) -> float:
    try:
        return float(calendar.timegm(time.strptime(date.decode("ascii"), "%Y%m%dT%H%M%SZ")))
    except ValueError:
        raise _incomplete(
            f"Date must be in ISO-8601 'basic format'. Got '{date.decode('latin-1')}'."
        ) from None


def _skewed(date: bytes, signed_at: float, now: float) -> AuthError:
    shown, present = date.decode("latin-1"), _format_date(now)
    if signed_at < now:
        edge = _format_date(now - SKEW_SECONDS)
        return _invalid(f"Signature expired: {shown} is now earlier than {edge} ({present} - 15 min.)")
    edge = _format_date(now + SKEW_SECONDS)
    return _invalid(f"Signature not yet current: {shown} is still later than {edge} ({present} + 15 min.)")


def _format_date(epoch: float) -> str:
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(epoch))


def _invalid(message: str) -> AuthError:
    return AuthError("InvalidSignatureException", message)


def _incomplete(message: str) -> AuthError:
    return AuthError("IncompleteSignatureException", message)


def _mismatch() -> AuthError:
    return _invalid(
        "The request signature we calculated does not match the signature you provided."
        " Check your AWS Secret Access Key and signing method."
        " Consult the service documentation for details."
    )
