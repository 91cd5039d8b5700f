"""A Chalice application, whose object is the handler for format 1.0."""

from __future__ import annotations

from typing import Any

from chalice.app import Chalice, NotFoundError, Response

app = Chalice(app_name="shop")
app.api.binary_types.append("image/png")


@app.route("/chalice/orders/{order_id}", methods=["GET", "PUT"], content_types=["application/json"])
def order(order_id: str) -> Any:
    request = app.current_request
    assert request is not None
    if order_id == "0":
        raise NotFoundError("no such order")
    tags = request.query_params.getlist("tag") if request.query_params else None
    return {"id": order_id, "method": request.method, "tags": tags, "body": request.json_body}


@app.route("/chalice/image", cors=True)
def image() -> Any:
    return Response(body=bytes(range(256)), headers={"Content-Type": "image/png", "X-A": ["1", "2"]})


handler = app
