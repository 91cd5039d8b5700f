"""A FastAPI application under Mangum, as one deploys it to AWS."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, FastAPI, HTTPException, Query, Request
from mangum import Mangum
from pydantic import BaseModel, Field

app = FastAPI(title="orders")


class Order(BaseModel):
    name: str
    count: int = Field(gt=0, le=100)
    tags: list[str] = []


def request_id(request: Request) -> str:
    context = request.scope["aws.context"]
    return str(context.aws_request_id)


@app.post("/{prefix}/orders", status_code=201)
def make(prefix: str, order: Order, asked: Annotated[str, Depends(request_id)]) -> dict[str, object]:
    return {"order": order.model_dump(), "asked": len(asked)}


@app.get("/{prefix}/orders/{order_id}")
async def find(prefix: str, order_id: int, limit: Annotated[int, Query(ge=1)] = 10) -> dict[str, int]:
    if order_id == 0:
        raise HTTPException(404, "no such order")
    return {"order": order_id, "limit": limit}


handler = Mangum(app)
