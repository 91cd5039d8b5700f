"""Says when it began, and sleeps."""

import time


def handler(event: dict[str, float], context: object) -> object:
    started_at = time.time()
    time.sleep(event["sleep_seconds"])
    return {"started_at": started_at, "ended_at": time.time()}
