"""POST /2020-01-01/extension/register and the rest of the Extensions API: not offered yet."""

from __future__ import annotations

from http import HTTPStatus

from worker.runtime_api.messages import refusal

PREFIXES = (b"/2020-01-01/extension/", b"/2020-08-15/", b"/2022-07-01/telemetry")

NOT_OFFERED = refusal(
    HTTPStatus.FORBIDDEN,
    "Extension.NotSupported",
    "Extensions are not supported here; run the function without them",
)
