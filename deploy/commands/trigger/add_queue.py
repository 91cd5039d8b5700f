"""`lightswitch trigger add queue`."""

from __future__ import annotations

import json
from typing import Any

import click

from deploy.commands.trigger.adding import add_trigger, function_options

_ENDPOINT_OPTIONS = ("function_name", "qualifier", "disabled", "endpoint_url", "data_dir")


@click.command("queue")
@click.argument("url", envvar="LIGHTSWITCH_QUEUE_URL")
@click.option(
    "--queue",
    required=True,
    help="The queue, Redis list or Kafka topic (made where it is missing, but for Kafka).",
)
@click.option("--batch-size", type=int, help="Most messages in one event.  [default: 1]")
@click.option("--batching-window-seconds", type=float, help="How long a batch may fill.  [default: 0]")
@click.option("--exchange", help="Bind the queue to this exchange (Pub/Sub: to this topic).")
@click.option("--exchange-type", type=click.Choice(["topic", "fanout", "direct"]), help="[default: topic]")
@click.option("--routing-key", help="With which key, e.g. 'order.#'.")
@click.option("--prefetch", type=int, help="Most messages in hand.  [default: twice what runs, at least 20]")
@click.option("--max-concurrency", type=int, help="Most runs at a time.  [default: 10]")
@click.option("--max-receives", type=int, help="Failures after which a message is set aside.  [default: 5]")
@click.option(
    "--retry-delay-seconds", type=float, help="After the first failure, then doubled.  [default: 1]"
)
@click.option("--dead-letter-queue", help="Where those go.  [default: QUEUE.dead-letter]")
@click.option(
    "--report-batch-item-failures",
    is_flag=True,
    default=None,
    help="The function names the messages that failed (batchItemFailures, by itemIdentifier).",
)
@click.option(
    "--transport-option",
    "transport_options",
    multiple=True,
    metavar="NAME=VALUE",
    help="One of kombu's (Kafka: librdkafka's) for this transport, its value as JSON or text, e.g."
    " region=eu-west-1.",
)
@click.option("--consumer-group", help="Kafka: where offsets are committed.  [default: the trigger's own]")
@click.option(
    "--starting-position",
    type=click.Choice(["TRIM_HORIZON", "LATEST"]),
    help="Kafka: where to begin.  [default: TRIM_HORIZON, the oldest record]",
)
@function_options
def command(url: str, **options: Any) -> None:
    """Call a function with the messages of a queue.

    URL is amqp://user:password@host/vhost (amqps://, redis://, rediss://, unix:///path,
    kafka://host:9092,host:9092, kafkas://, sqs://, azureservicebus://, gcpubsub://). Give it in
    LIGHTSWITCH_QUEUE_URL instead to keep the password out of the list of processes.
    """
    options["transport_options"] = dict(_option(text) for text in options["transport_options"]) or None
    shared = {name: options.pop(name) for name in _ENDPOINT_OPTIONS}
    click.echo(add_trigger("queue", {"url": url, **options}, **shared)["id"])


def _option(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals:
        raise click.BadParameter(f"{text!r} is no NAME=VALUE", param_hint="--transport-option")
    try:
        return name, json.loads(value)
    except json.JSONDecodeError:
        return name, value
