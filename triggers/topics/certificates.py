"""The keys behind signing certificates: fetched once from trusted hosts, then remembered for a day.

A signing certificate comes without its issuer's, so it is trusted because of whence it came: a verified
HTTPS server on the list. Only its own dates are checked.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa

from broker.single_flight import SingleFlight
from triggers.topics.messages import Forged

REMEMBERED_SECONDS = 86_400
MOST_REMEMBERED = 100

Fetch = Callable[[str, str], Awaitable[bytes]]
"""Takes a URL and a file of authorities; raises FetchFailed."""


class Certificates:
    """Keys by URL and authorities; many messages at one time fetch a certificate once."""

    def __init__(self, fetch: Fetch, clock: Callable[[], float] = time.time) -> None:
        self._fetch = fetch
        self._clock = clock
        self._known: OrderedDict[str, tuple[float, x509.Certificate]] = OrderedDict()
        self._fetching: SingleFlight[x509.Certificate] = SingleFlight()

    async def close(self) -> None:
        """Give up what is being fetched."""
        await self._fetching.close()

    async def key(self, url: str, ca_file: str) -> rsa.RSAPublicKey:
        """The public key of the certificate at a URL whose host the caller trusts.

        Raises Forged where it is no valid certificate with an RSA key, FetchFailed.
        """
        name = f"{ca_file}\n{url}"
        fetched, certificate = self._known.get(name, (0.0, None))
        if certificate is None or fetched + REMEMBERED_SECONDS < self._clock():
            certificate = await self._fetching.run(name, lambda: self._read(url, ca_file))
            self._remember(name, certificate)
        return self._key_of(certificate)

    async def _read(self, url: str, ca_file: str) -> x509.Certificate:
        body = await self._fetch(url, ca_file)
        try:
            return x509.load_pem_x509_certificate(body)
        except ValueError as error:
            raise Forged("what SigningCertURL leads to is no certificate") from error

    def _remember(self, name: str, certificate: x509.Certificate) -> None:
        self._known[name] = (self._clock(), certificate)
        self._known.move_to_end(name)
        if len(self._known) > MOST_REMEMBERED:
            self._known.popitem(last=False)

    def _key_of(self, certificate: x509.Certificate) -> rsa.RSAPublicKey:
        now = datetime.fromtimestamp(self._clock(), UTC)
        if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
            raise Forged("the signing certificate is not valid at this time")
        key = certificate.public_key()
        if not isinstance(key, rsa.RSAPublicKey):
            raise Forged("the signing certificate has no RSA key")
        return key
