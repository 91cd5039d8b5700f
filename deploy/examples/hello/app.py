"""The example that `make run` deploys: a Lambda function, written as for AWS."""

from __future__ import annotations

import platform
from typing import Any


def handler(event: dict[str, Any], context: Any) -> dict[str, str]:
    return {
        "message": f"Hello, {event.get('name', 'world')}! The light is on.",
        "python": platform.python_version(),
        "request_id": context.aws_request_id,
    }
