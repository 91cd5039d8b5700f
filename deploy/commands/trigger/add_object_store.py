"""`lightswitch trigger add object-store`: a function for what happens in a bucket."""

from __future__ import annotations

from typing import Any

import click

from deploy.commands.trigger.adding import add_pushed_trigger, function_options


@click.command("object-store")
@click.argument("bucket")
@click.option("--store-url", help="The store's S3 endpoint.  [default: $AWS_ENDPOINT_URL_S3 of the system]")
@click.option("--prefix", help="Only keys that start so.")
@click.option("--suffix", help="Only keys that end so.")
@click.option("--events", multiple=True,
              help="S3 event type, may be repeated.  [default: s3:ObjectCreated:*]")  # fmt: skip
@click.option("--scan-seconds", type=click.FloatRange(0.5), help="Pause between two scans.  [default: 60]")
@click.option("--no-scan", is_flag=True, help="Do not scan: the store pushes all that happens.")
@click.option("--existing-objects", is_flag=True, help="What is in the bucket now counts as created.")
@click.option("--key-encoding", type=click.Choice(["auto", "url", "raw"]),
              help="How the store's webhooks write keys.")  # fmt: skip
@function_options
def command(
    bucket: str,
    store_url: str | None,
    prefix: str | None,
    suffix: str | None,
    events: tuple[str, ...],
    scan_seconds: float | None,
    no_scan: bool,
    existing_objects: bool,
    key_encoding: str | None,
    **shared: Any,
) -> None:
    """Call a function for objects created in (or removed from) BUCKET.

    The bucket is scanned, and the store may push its events to the URL that is printed, with the token as
    `Authorization: Bearer TOKEN`; whatever comes first counts, and nothing runs twice.
    """
    if no_scan and scan_seconds:
        raise click.UsageError("--no-scan and --scan-seconds exclude each other.")
    settings = {
        "bucket": bucket,
        "endpoint_url": store_url,
        "prefix": prefix,
        "suffix": suffix,
        "events": list(events) or None,
        "scan_seconds": 0 if no_scan else scan_seconds,
        "existing_objects": existing_objects or None,
        "key_encoding": key_encoding,
    }
    trigger, hook = add_pushed_trigger("object_store", settings, **shared)
    click.echo(trigger["id"])
    click.echo(f"webhook  {hook}", err=True)
    click.echo(f"token    {trigger['settings']['token']}", err=True)
    click.echo(f"A store that cannot set headers posts to {hook}?token=TOKEN", err=True)
