"""A tiny ASGI application under Mangum, as one deploys it to AWS."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

from mangum import Mangum


async def application(scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
    body = (await receive())["body"]
    text = f"{scope['method']} {scope['path']}?{scope['query_string'].decode()} ".encode() + body
    headers = [(b"content-type", b"text/plain"), (b"set-cookie", b"a=1"), (b"set-cookie", b"b=2")]
    await send({"type": "http.response.start", "status": 201, "headers": headers})
    await send({"type": "http.response.body", "body": text})


handler = Mangum(application, lifespan="off")
