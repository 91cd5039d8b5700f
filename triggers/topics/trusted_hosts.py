"""The hosts from which certificates are fetched and at which subscriptions are confirmed: nobody else."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from triggers.topics.messages import Forged

AWS_HOST = re.compile(r"sns\.[a-z0-9-]+\.amazonaws\.com(\.cn)?")
HTTPS_PORT = 443
_HOST = re.compile(r"[a-z0-9.-]{1,253}(:[0-9]{1,5})?")


def is_host(text: str) -> bool:
    """Whether a text can be an entry of an operator's list: `host` or `host:port`, in lower case."""
    return _HOST.fullmatch(text) is not None


class TrustedHosts:
    """An operator's list; an empty one stands for AWS's own hosts."""

    def __init__(self, hosts: tuple[str, ...]) -> None:
        self._hosts = hosts

    def check(self, url: str, what: str) -> None:
        """Raises Forged where `url` is not HTTPS to a host of the list; `what` names it in the text."""
        try:
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port or HTTPS_PORT
        except ValueError:
            raise Forged(f"{what} is no URL") from None
        if parts.scheme != "https" or parts.username is not None or parts.password is not None:
            raise Forged(f"{what} is not a plain https:// URL")
        if not self._trusts(host, port):
            raise Forged(f"{what} leads to {host[:100]!r}, which is not on the list of trusted hosts")

    def _trusts(self, host: str, port: int) -> bool:
        if not self._hosts:
            return port == HTTPS_PORT and AWS_HOST.fullmatch(host) is not None
        return f"{host}:{port}" in self._hosts or (port == HTTPS_PORT and host in self._hosts)
