"""A Powertools event handler for HTTP APIs, as one deploys it to AWS."""

from __future__ import annotations

from typing import Any

from aws_lambda_powertools.event_handler import APIGatewayHttpResolver, Response
from aws_lambda_powertools.event_handler.exceptions import NotFoundError
from aws_lambda_powertools.shared.cookies import Cookie

app = APIGatewayHttpResolver()


@app.get("/<prefix>/orders/<order_id>")
def get_order(prefix: str, order_id: str) -> Any:
    if order_id == "0":
        raise NotFoundError("no such order")
    authorizer = app.current_event.request_context.authorizer
    return {
        "id": order_id,
        "tags": app.current_event.resolved_query_string_parameters.get("tag"),
        "subject": (authorizer.jwt_claim or {}).get("sub") if authorizer else None,
        "ip": app.current_event.request_context.http.source_ip,
    }


@app.post("/<prefix>/orders")
def post_order(prefix: str) -> Any:
    return Response(
        status_code=201,
        content_type="application/json",
        body={"got": app.current_event.json_body},
        cookies=[Cookie("a", "1"), Cookie("b", "2")],
    )


def handler(event: dict[str, Any], context: Any) -> Any:
    return app.resolve(event, context)
