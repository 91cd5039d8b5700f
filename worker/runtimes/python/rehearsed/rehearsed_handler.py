"""A function that nobody deployed: what `rehearsal` imports and runs."""

import json
import os


def handler(event: dict[str, object], context: object) -> object:
    """Do a little of what most handlers do."""
    return {"statusCode": 200, "body": json.dumps(event), "region": os.environ.get("AWS_REGION", "")}
