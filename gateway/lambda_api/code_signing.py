"""Operations on code signing. There are no code signing configs here, and every answer says just that.

Tools ask for the one of each function that they manage and expect to hear that it has none.
"""

from __future__ import annotations

from typing import Any

from gateway.lambda_api.context import Context
from gateway.lambda_api.errors import no_code_signing_config, not_found
from gateway.lambda_api.targets import named_function

Request = dict[str, Any]
Result = dict[str, Any]


async def get_function_code_signing_config(context: Context, request: Request) -> Result:
    """The function's name alone, as AWS answers where none is attached."""
    return {"FunctionName": await _existing(context, request)}


async def put_function_code_signing_config(context: Context, request: Request) -> Result:
    await _existing(context, request)
    raise no_code_signing_config(request["CodeSigningConfigArn"])


async def delete_function_code_signing_config(context: Context, request: Request) -> Result:
    await _existing(context, request)
    return {}


async def list_code_signing_configs(context: Context, request: Request) -> Result:
    return {"CodeSigningConfigs": []}


async def missing_code_signing_config(context: Context, request: Request) -> Result:
    """Every operation on one config, which cannot be there. Raises ApiError."""
    arn = request["CodeSigningConfigArn"]
    raise not_found(f"The Lambda code signing configuration {arn} can not be found.")


async def _existing(context: Context, request: Request) -> str:
    name, _ = named_function(context, request, qualified=False)
    await context.registry.get(name)
    return name
