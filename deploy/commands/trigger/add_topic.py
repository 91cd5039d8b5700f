"""`lightswitch trigger add topic`: a function for the messages of SNS-like topics, pushed by HTTP(S)."""

from __future__ import annotations

from typing import Any

import click

from deploy.commands.trigger.adding import add_pushed_trigger, function_options


@click.command("topic")
@click.argument("topic_arns", nargs=-1, required=True, metavar="TOPIC_ARN...")
@click.option("--trusted-host", "trusted_hosts", multiple=True,
              help="HOST[:PORT] of certificates and confirmations; many.  [default: AWS's]")  # fmt: skip
@click.option("--ca-file", help="Authorities of those hosts, a file on the gateways' machines.")
@click.option("--max-age-seconds", type=click.IntRange(1), help="How old a message may be.  [default: 3600]")
@click.option("--raw-delivery", is_flag=True, help="Take messages without SNS's envelope and signature.")
@function_options
def command(
    topic_arns: tuple[str, ...],
    trusted_hosts: tuple[str, ...],
    ca_file: str | None,
    max_age_seconds: int | None,
    raw_delivery: bool,
    **shared: Any,
) -> None:
    """Call a function for each message of the topics.

    Subscribe the URL that is printed to the topic (protocol https); the subscription confirms itself.
    """
    settings = {
        "topic_arns": list(topic_arns),
        "trusted_hosts": list(trusted_hosts) or None,
        "ca_file": ca_file,
        "max_age_seconds": max_age_seconds,
        "raw_delivery": raw_delivery or None,
    }
    trigger, hook = add_pushed_trigger("topic", settings, **shared)
    click.echo(trigger["id"])
    query = f"?token={trigger['settings']['token']}" if raw_delivery else ""
    click.echo(f"endpoint {hook}{query}", err=True)
