"""An HTTP request to build events from; each test says what is special about its own."""

from __future__ import annotations

from typing import Any

from triggers.events.http_request import HttpRequest

BASE: dict[str, Any] = {
    "method": "GET",
    "path": "/orders/7",
    "headers": [(b"host", b"api.example.com"), (b"user-agent", b"curl/8"), (b"accept", b"*/*")],
    "source_ip": "192.0.2.1",
    "account_id": "123456789012",
    "api_id": "api",
    "domain_name": "api.example.com",
    "request_id": "NIKr1jmIFiAEJmw=",
    "time_ms": 1583348638390,
    "route_key": "GET /orders/{id}",
    "path_parameters": {"id": "7"},
}


def request(**members: Any) -> HttpRequest:
    return HttpRequest(**(BASE | members))
