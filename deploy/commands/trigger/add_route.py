"""`lightswitch trigger add route`."""

from __future__ import annotations

from typing import Any

import click

from deploy.commands.trigger.adding import add_trigger, function_options


@click.command("route")
@click.argument("route")
@function_options
@click.option("--payload-format", type=click.Choice(["1.0", "2.0"]), help="Of events.  [default: 2.0]")
@click.option("--jwt-issuer", help="Callers show a token of this OIDC issuer.")
@click.option("--jwt-audience", multiple=True, help="Whom tokens are made for; repeatable, one is enough.")
@click.option("--jwt-scope", multiple=True, help="A scope that tokens need; repeatable, one is enough.")
@click.option("--authorizer", help="A function that decides about callers.")
@click.option("--authorizer-format", type=click.Choice(["1.0", "2.0"]), help="[default: 2.0]")
@click.option("--authorizer-policies", is_flag=True, help="It answers IAM policies, not isAuthorized.")
@click.option("--authorizer-ttl", type=int, help="Seconds for which a verdict is kept.  [default: 0]")
@click.option("--identity-source", multiple=True, help="[default: $request.header.Authorization]")
@click.option("--rate", type=float, help="Requests per second; more get 429.")
@click.option("--burst", type=int, help="How many at once.  [default: the rate]")
@click.option("--cors-origin", multiple=True, help="Browsers' pages of this origin may call; repeatable.")
@click.option("--cors-header", multiple=True, help="A header that they may send; repeatable.")
@click.option("--cors-method", multiple=True, help="A method that they may use; repeatable.  [default: *]")
@click.option("--timeout-ms", type=int, help="How long callers wait.  [default: 30000]")
def command(route: str, **options: Any) -> None:
    """Call a function for HTTP requests: ROUTE is 'METHOD /path/{id}', 'ANY /{proxy+}' or '$default'.

    The gateway serves it at its own address: http://HOST:PORT/path.
    """
    settings = {
        "route": route,
        "payload_format": options["payload_format"],
        "jwt": _jwt(options),
        "authorizer": _authorizer(options),
        "rate_per_second": options["rate"],
        "burst": options["burst"],
        "cors": _cors(options),
        "timeout_ms": options["timeout_ms"],
    }
    shared = ("function_name", "qualifier", "disabled", "endpoint_url", "data_dir")
    trigger = add_trigger("route", settings, **{name: options[name] for name in shared})
    click.echo(trigger["id"])


def _jwt(options: dict[str, Any]) -> dict[str, Any] | None:
    if options["jwt_issuer"] is None:
        if options["jwt_audience"] or options["jwt_scope"]:
            raise click.UsageError("--jwt-audience and --jwt-scope need --jwt-issuer URL")
        return None
    if not options["jwt_audience"]:
        raise click.UsageError("--jwt-issuer needs --jwt-audience: whom the issuer's tokens are made for")
    jwt = {
        "issuer": options["jwt_issuer"],
        "audiences": options["jwt_audience"],
        "scopes": options["jwt_scope"],
    }
    if options["identity_source"]:
        jwt["identity_source"] = options["identity_source"][0]
    return jwt


def _authorizer(options: dict[str, Any]) -> dict[str, Any] | None:
    named = ("authorizer_format", "authorizer_policies", "authorizer_ttl")
    if options["authorizer"] is None:
        if any(options[name] for name in named):
            raise click.UsageError("--authorizer-format, -policies and -ttl need --authorizer FUNCTION")
        return None
    payload_format = options["authorizer_format"] or "2.0"
    authorizer = {
        "function": options["authorizer"],
        "payload_format": payload_format,
        "simple_responses": payload_format == "2.0" and not options["authorizer_policies"],
        "ttl_seconds": options["authorizer_ttl"] or 0,
    }
    if options["identity_source"]:
        authorizer["identity_sources"] = options["identity_source"]
    return authorizer


def _cors(options: dict[str, Any]) -> dict[str, Any] | None:
    if not options["cors_origin"]:
        if options["cors_header"] or options["cors_method"]:
            raise click.UsageError("--cors-header and --cors-method need --cors-origin")
        return None
    return {
        "allow_origins": options["cors_origin"],
        "allow_methods": options["cors_method"] or ("*",),
        "allow_headers": options["cors_header"],
    }
