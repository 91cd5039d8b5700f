"""Lists in pages: Marker, MaxItems and NextMarker."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gateway.lambda_api.errors import invalid_parameter

PAGE_ITEMS = 50
"""Most items of one page, whatever MaxItems asks for, as on AWS."""

Keyed = Sequence[tuple[str, dict[str, Any]]]
"""Items with the keys that they are ordered by."""


@dataclass(frozen=True, slots=True)
class Page:
    """One page; `next_marker` is None on the last."""

    items: list[dict[str, Any]]
    next_marker: str | None


async def page(request: Mapping[str, Any], fetch: Callable[[str, int], Awaitable[Keyed]]) -> Page:
    """The page that a request asks for; `fetch(after, limit)` gives the items behind a key ("": all)."""
    limit = min(request.get("MaxItems", PAGE_ITEMS), PAGE_ITEMS)
    # One more than wanted tells whether there is a next page.
    found = await fetch(_key_of(request.get("Marker", "")), limit + 1)
    shown = found[:limit]
    more = len(found) > limit
    return Page([item for _, item in shown], _marker_of(shown[-1][0]) if more else None)


async def page_of(request: Mapping[str, Any], items: Keyed) -> Page:
    """The page that a request asks for of items that are all at hand, in the order of their keys."""

    async def fetch(after: str, limit: int) -> Keyed:
        return [item for item in items if item[0] > after][:limit]

    return await page(request, fetch)


def version_key(version: str) -> str:
    """A key under which `$LATEST` comes first and numbers follow in their order."""
    return version.zfill(20) if version.isdigit() else "".zfill(20)


def _marker_of(key: str) -> str:
    return base64.urlsafe_b64encode(key.encode()).decode()


def _key_of(marker: str) -> str:
    try:
        return base64.b64decode(marker, altchars=b"-_", validate=True).decode()
    except (binascii.Error, UnicodeDecodeError, ValueError):
        raise invalid_parameter(f"Invalid Marker: {marker}") from None
