from __future__ import annotations

import logging

from deploy.process_logging import FieldsFormatter


def test_an_event_is_one_line_with_its_fields() -> None:
    fields = {"epoch": "a1", "pid": 7, "color_message": "uvicorn's, for terminals"}
    record = logging.makeLogRecord(
        {"name": "worker.main", "levelname": "INFO", "msg": "worker_ready", "created": 0.5, **fields}
    )

    assert FieldsFormatter().format(record) == (
        "1970-01-01T00:00:00.500Z INFO worker.main worker_ready epoch=a1 pid=7"
    )
