"""The routes that this gateway serves now, compiled whenever the triggers of kind `route` change."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from broker.trigger_store.directory import Directory
from broker.trigger_store.model import TriggerRecord
from triggers.http_api.route_key import RouteKey, parse_route_key
from triggers.http_api.route_table import RouteTable
from triggers.http_api.settings import RouteSettings
from triggers.http_api.throttle import TokenBucket
from triggers.kinds import read_settings

log = logging.getLogger(__name__)

KIND = "route"


@dataclass(frozen=True, slots=True)
class Route:
    """One route, ready to be served; it lives until its record changes."""

    record: TriggerRecord
    key: RouteKey
    settings: RouteSettings
    bucket: TokenBucket | None


class Routes:
    """Follows the directory: `table` is never older than its last look."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory
        self._routes: dict[tuple[str, int], Route | None] = {}
        self.table: RouteTable[Route] = RouteTable()
        directory.on_change(self._compile)
        self._compile()

    def _compile(self) -> None:
        """Make the table anew, where a route changed. Routes that did not keep their token buckets."""
        records = [record for record in self._directory.of_kind(KIND) if record.enabled]
        if self._routes.keys() == {(record.id, record.generation) for record in records}:
            return
        known, self._routes = self._routes, {}
        for record in sorted(records, key=lambda record: (record.created_ms, record.id)):
            identity = record.id, record.generation
            self._routes[identity] = known[identity] if identity in known else _route(record)
        self.table = RouteTable((route.key, route) for route in self._routes.values() if route is not None)


def _route(record: TriggerRecord) -> Route | None:
    """A record as a route. One that a newer gateway wrote and this one does not understand is left out."""
    try:
        settings = read_settings(KIND, record.settings)
        assert isinstance(settings, RouteSettings)
        key = parse_route_key(settings.route)
    except ValueError as error:
        log.error("route_not_served", extra={"trigger": record.id, "reason": str(error)})
        return None
    rate = settings.rate_per_second
    bucket = None if rate is None else TokenBucket(rate, settings.burst_or_default)
    return Route(record, key, settings, bucket)
