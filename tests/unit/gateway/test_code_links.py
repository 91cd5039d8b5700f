"""Links to code: sealed, for a while, accepted by every gateway of the installation."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest

from gateway.auth import Credentials
from gateway.code_links import LIFETIME_SECONDS, CodeLinks

KEY = Credentials("AKID", "secret")
DIGEST = "ab" * 32


def query_of(link: str) -> str:
    return urlsplit(link).query


@pytest.fixture
def now() -> list[float]:
    return [1_800_000_000.0]


@pytest.fixture
def links(now: list[float]) -> CodeLinks:
    return CodeLinks([KEY], clock=lambda: now[0])


def test_a_link_leads_to_the_package_through_the_host_that_was_asked(links: CodeLinks) -> None:
    link = links.link("http://127.0.0.1:9000", DIGEST)
    assert link.startswith(f"http://127.0.0.1:9000/lightswitch/v1/code/{DIGEST}?")
    assert links.accepts(DIGEST, query_of(link))


def test_a_link_is_for_one_package_only(links: CodeLinks) -> None:
    assert not links.accepts("cd" * 32, query_of(links.link("", DIGEST)))


def test_a_link_ends(links: CodeLinks, now: list[float]) -> None:
    query = query_of(links.link("", DIGEST))
    now[0] += LIFETIME_SECONDS - 1
    assert links.accepts(DIGEST, query)
    now[0] += 2
    assert not links.accepts(DIGEST, query)


def test_the_end_of_a_link_cannot_be_moved(links: CodeLinks) -> None:
    query = query_of(links.link("", DIGEST))
    assert not links.accepts(DIGEST, query.replace("expires=1", "expires=2"))


@pytest.mark.parametrize("query", ["", "expires=9999999999", "expires=x&seal=y", "seal=é&expires=٣", "&&=="])
def test_nonsense_is_no_link(links: CodeLinks, query: str) -> None:
    assert not links.accepts(DIGEST, query)


def test_other_keys_of_the_installation_are_accepted_and_strangers_are_not(links: CodeLinks) -> None:
    query = query_of(links.link("", DIGEST))
    clock = 1_800_000_000.0
    assert CodeLinks([Credentials("NEW", "new"), KEY], clock=lambda: clock).accepts(DIGEST, query)
    assert not CodeLinks([Credentials("AKID", "guess")], clock=lambda: clock).accepts(DIGEST, query)
