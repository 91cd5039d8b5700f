"""A function that Powertools keeps from doing its work twice, as one deploys it to AWS."""

from __future__ import annotations

import os
import uuid
from typing import Any

from aws_lambda_powertools.utilities.idempotency import (
    DynamoDBPersistenceLayer,
    IdempotencyConfig,
    idempotent,
)

layer = DynamoDBPersistenceLayer(table_name=os.environ["TABLE"])
config = IdempotencyConfig(event_key_jmespath="payment", raise_on_no_idempotency_key=True)


@idempotent(config=config, persistence_store=layer)
def handler(event: dict[str, Any], context: Any) -> dict[str, str]:
    if event.get("fail"):
        raise ValueError("declined")
    return {"receipt": uuid.uuid4().hex}
