"""The callers of Celery, in a process of their own."""

from __future__ import annotations

from typing import Any

from celery import group

from tests.benchmarks.peers import celery_app
from tests.benchmarks.peers.client import serve_peer


class CeleryPeer:
    """Celery's client API in the form the idioms use."""

    def send(self, payload: dict[str, object]) -> Any:
        return celery_app.echo.apply_async((payload,))

    def result(self, handle: Any) -> object:
        # The interval counts for back-ends that poll; Redis pushes results by publish/subscribe.
        return handle.get(timeout=30)

    def forget(self, handle: Any) -> None:
        """`get` left nothing to free but the key in Redis, which expires."""

    def send_group(self, payloads: list[dict[str, object]]) -> Any:
        return group(celery_app.echo.s(payload) for payload in payloads).apply_async()

    def group_results(self, group: Any) -> list[object]:
        results: list[object] = group.join_native(timeout=30)
        return results

    def fire(self, payload: dict[str, object]) -> None:
        celery_app.count.apply_async((payload,))


if __name__ == "__main__":
    serve_peer(CeleryPeer())
