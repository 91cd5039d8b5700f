"""Which requests are for a function URL, and what path the function sees."""

from __future__ import annotations

import pytest

from gateway.function_urls.address import Address, new_url_id, read_address, url_of

ID = "a" * 31 + "7"


@pytest.mark.parametrize(
    ("rest", "path"), [(b"", b"/"), (b"/", b"/"), (b"/a/b", b"/a/b"), (b"//x", b"//x"), (b"/%2F", b"/%2F")]
)
def test_below_the_prefix_the_function_sees_what_follows_the_id(rest: bytes, path: bytes) -> None:
    assert read_address(b"/lightswitch/url/" + ID.encode() + rest, []) == Address(ID, path)


@pytest.mark.parametrize("domain", [b"us-east-1.on.aws", b"eu-west-1.localhost:9000", b"x"])
def test_a_host_name_of_its_own_leaves_the_path_alone(domain: bytes) -> None:
    host = ID.encode() + b".lambda-url." + domain
    assert read_address(b"/a", [(b"accept", b"*"), (b"host", host)]) == Address(ID, b"/a")


@pytest.mark.parametrize(
    "host", [b"localhost:9000", b"short.lambda-url.x", ID.upper().encode() + b".lambda-url.x", b""]
)
def test_anything_else_is_for_somebody_else(host: bytes) -> None:
    assert read_address(b"/2015-03-31/functions", [(b"host", host)]) is None


def test_an_address_leads_back_to_its_id() -> None:
    url_id = new_url_id()
    path = url_of("http://127.0.0.1:9000", url_id).removeprefix("http://127.0.0.1:9000")
    assert read_address(path.encode(), []) == Address(url_id, b"/")
    assert read_address(b"/", [(b"host", f"{url_id}.lambda-url.r.x".encode())]) == Address(url_id, b"/")
