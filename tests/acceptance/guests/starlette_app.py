"""A Starlette application under Mangum, as one deploys it to AWS."""

from __future__ import annotations

from mangum import Mangum
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route


async def order(request: Request) -> Response:
    response = JSONResponse(
        {
            "id": request.path_params["id"],
            "tags": request.query_params.getlist("tag"),
            "url": str(request.url),
            "seen": request.cookies.get("seen"),
            "client": request.client.host if request.client else None,
            "body": (await request.body()).hex(),
        },
        status_code=201,
    )
    response.set_cookie("seen", "yes")
    response.set_cookie("more", "also")
    return response


async def away(request: Request) -> Response:
    return RedirectResponse("/elsewhere")


async def image(request: Request) -> Response:
    return Response(bytes(range(256)) * 8, media_type="image/png")


app = Starlette(
    routes=[
        Route("/{prefix}/orders/{id}", order, methods=["POST"]),
        Route("/{prefix}/away", away),
        Route("/{prefix}/image", image),
    ],
    middleware=[Middleware(GZipMiddleware)],
)
handler = Mangum(app)
