"""Triggers over HTTP, as the command line manages them."""

from __future__ import annotations

from typing import Any

import pytest

from deploy.credentials import Credentials
from deploy.endpoint import Endpoint
from deploy.errors import DeployError
from tests.integration.gateway.conftest import KEY, RunningGateway


@pytest.fixture
def endpoint(gateway: RunningGateway) -> Endpoint:
    keys = Credentials(KEY.access_key_id, KEY.secret_access_key)
    return Endpoint(gateway.url, gateway.settings.region, keys)


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({"kind": "telegraph", "function": "hello"}, "telegraph"),
        ({"kind": "queue"}, "function"),
        ({"kind": "queue", "function": "hello", "colour": "red"}, "colour"),
    ],
)
def test_a_wrong_request_is_told_what_is_wrong(endpoint: Endpoint, document: Any, words: str) -> None:
    with pytest.raises(DeployError, match=words):
        endpoint.send("POST", "/triggers", document)


def test_a_trigger_that_does_not_exist_is_not_found(endpoint: Endpoint) -> None:
    for method in ("GET", "DELETE"):
        with pytest.raises(DeployError, match="There is no trigger t1"):
            endpoint.send(method, "/triggers/t1")
    with pytest.raises(DeployError, match="There is no trigger t1"):
        endpoint.send("PUT", "/triggers/t1", {"enabled": False})


def test_nothing_is_listed_where_there_is_nothing(endpoint: Endpoint) -> None:
    assert endpoint.get("/triggers", kind="nothing") == {"triggers": []}
