"""`lightswitch trigger add`: one command for each kind."""

from __future__ import annotations

import click

from deploy.lazy_group import LazyGroup


class _Commands(LazyGroup):
    commands_by_name = {  # noqa: RUF012 - never changed
        "object-store": ("deploy.commands.trigger.add_object_store", "What happens in a bucket."),
        "topic": ("deploy.commands.trigger.add_topic", "Messages of SNS-like topics, pushed by HTTP(S)."),
        "schedule": ("deploy.commands.trigger.add_schedule", "Certain times: rate(), cron(), at()."),
        "queue": (
            "deploy.commands.trigger.add_queue",
            "Messages of a queue: RabbitMQ or another AMQP server, Redis.",
        ),
        "route": (
            "deploy.commands.trigger.add_route",
            "Requests to a route of the HTTP API: 'GET /orders/{id}'.",
        ),
    }


@click.group("add", cls=_Commands)
def command() -> None:
    """Add a trigger of one kind; prints its id."""
