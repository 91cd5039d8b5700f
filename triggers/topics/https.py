"""GET over HTTPS, for certificates and confirmations: the server is verified, no redirect is followed."""

from __future__ import annotations

import asyncio
import http.client
import ssl
from urllib.parse import urlsplit

TIMEOUT_SECONDS = 10.0
MOST_BYTES = 65_536


class FetchFailed(Exception):
    """The server did not answer with 200; trying again may help."""


async def get(url: str, ca_file: str = "") -> bytes:
    """The body at an `https://` URL that the caller trusts.

    The server's chain and name are verified against `ca_file`, or the system's authorities where it is
    empty. Environment proxies are not used. Raises FetchFailed.
    """
    return await asyncio.to_thread(_get, url, ca_file)


def _get(url: str, ca_file: str) -> bytes:
    parts = urlsplit(url)
    try:
        context = ssl.create_default_context(cafile=ca_file or None)
        connection = http.client.HTTPSConnection(parts.netloc, timeout=TIMEOUT_SECONDS, context=context)
        try:
            target = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
            connection.request("GET", target)
            answer = connection.getresponse()
            body = answer.read(MOST_BYTES + 1)
        finally:
            connection.close()
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise FetchFailed(f"no answer from {parts.netloc}: {error}") from error
    if answer.status != http.client.OK or len(body) > MOST_BYTES:
        raise FetchFailed(f"{parts.netloc} answered {answer.status} with {len(body)} bytes")
    return body
