"""How a role's own log looks: one line an event on stderr, its fields behind it. Not functions' output."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from datetime import UTC, datetime

FORMAT = "%(asctime)s %(levelname)s %(name)s %(message)s"

# What every record has, and uvicorn's message in colours; the rest came as fields of the event.
STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}


def log_to_stderr(level: str, environ: Mapping[str, str]) -> None:
    """Send the events of this process to stderr. `LIGHTSWITCH_LOG_LEVEL` wins over `level`."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(FieldsFormatter())
    logging.basicConfig(level=(environ.get("LIGHTSWITCH_LOG_LEVEL") or level).upper(), handlers=[handler])


class FieldsFormatter(logging.Formatter):
    """`2026-11-23T09:30:00.000Z INFO worker.loop worker_ready epoch=... pid=...`"""

    def __init__(self) -> None:
        super().__init__(FORMAT)

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:
        moment = datetime.fromtimestamp(record.created, UTC)
        return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def formatMessage(self, record: logging.LogRecord) -> str:
        fields = (f" {name}={value}" for name, value in vars(record).items() if name not in STANDARD)
        return super().formatMessage(record) + "".join(fields)
