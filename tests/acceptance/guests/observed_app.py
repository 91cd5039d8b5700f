"""A function that logs, measures and traces with Powertools, as one deploys it to AWS."""

from __future__ import annotations

from typing import Any

from aws_lambda_powertools import Logger, Metrics, Tracer
from aws_lambda_powertools.metrics import MetricUnit

logger = Logger()
metrics = Metrics()
tracer = Tracer()


@tracer.capture_method
def total(prices: list[float]) -> float:
    return sum(prices)


@logger.inject_lambda_context(correlation_id_path="order", log_event=False)
@metrics.log_metrics(capture_cold_start_metric=True)
@tracer.capture_lambda_handler
def handler(event: dict[str, Any], context: Any) -> dict[str, float]:
    amount = total(event["prices"])
    logger.info("counted", extra={"amount": amount})
    metrics.add_metric(name="Amount", unit=MetricUnit.Count, value=amount)
    metrics.add_dimension(name="kind", value="test")
    return {"amount": amount}
