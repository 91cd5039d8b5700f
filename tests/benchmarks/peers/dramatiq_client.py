"""The callers of Dramatiq, in a process of their own."""

from __future__ import annotations

from typing import Any

import dramatiq

from tests.benchmarks.peers import dramatiq_app
from tests.benchmarks.peers.client import serve_peer


class DramatiqPeer:
    """Dramatiq's client API in the form the idioms use."""

    def send(self, payload: dict[str, object]) -> Any:
        return dramatiq_app.echo.send(payload)

    def result(self, handle: Any) -> object:
        return handle.get_result(block=True, timeout=30_000)

    def forget(self, handle: Any) -> None:
        """Nothing is kept but the key in Redis, which expires."""

    def send_group(self, payloads: list[dict[str, object]]) -> Any:
        messages = [dramatiq_app.echo.message(payload) for payload in payloads]
        return dramatiq.group(messages).run()  # type: ignore[no-untyped-call]

    def group_results(self, group: Any) -> list[object]:
        return list(group.get_results(block=True, timeout=30_000))

    def fire(self, payload: dict[str, object]) -> None:
        dramatiq_app.count.send(payload)


if __name__ == "__main__":
    serve_peer(DramatiqPeer())
