"""The event that a schedule's function gets: EventBridge's "Scheduled Event".

Source: Amazon EventBridge user guide, "Events from AWS services", and AWS Lambda developer guide, "Invoke a
Lambda function on a schedule".
"""

from __future__ import annotations

import json
from datetime import UTC, datetime


def scheduled_event(event_id: str, time_ms: int, account_id: str, region: str, schedule_arn: str) -> bytes:
    """JSON. `time_ms`: the tick (epoch), to the second; `event_id`: the same whenever this tick is sent."""
    event = {
        "version": "0",
        "id": event_id,
        "detail-type": "Scheduled Event",
        "source": "aws.events",
        "account": account_id,
        "time": f"{datetime.fromtimestamp(time_ms // 1000, UTC):%Y-%m-%dT%H:%M:%SZ}",
        "region": region,
        "resources": [schedule_arn],
        "detail": {},
    }
    return json.dumps(event, separators=(",", ":")).encode()
