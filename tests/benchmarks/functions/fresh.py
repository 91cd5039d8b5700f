"""Says how often this execution environment has run: 1 proves a cold start."""

RUNS = 0


def handler(event: object, context: object) -> object:
    global RUNS
    RUNS += 1
    return {"runs": RUNS}
