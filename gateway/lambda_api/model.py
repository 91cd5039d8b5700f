"""Lambda's service model as botocore ships it, with the limits that apply here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from botocore.loaders import Loader
from botocore.model import ServiceModel

API_VERSION = "2015-03-31"

LIMITS: Mapping[str, Mapping[str, int]] = {
    # The model also covers offers of AWS that are larger than an ordinary function.
    "Timeout": {"max": 900},
    "MemorySize": {"max": 10240},
    "EphemeralStorageSize": {"max": 10240},
}


def load_model() -> Any:
    """The `ServiceModel` of Lambda. Reads files: once for a process, at its start."""
    definition = Loader().load_service_model("lambda", "service-2", API_VERSION)
    for shape, limits in LIMITS.items():
        definition["shapes"][shape].update(limits)
    return ServiceModel(definition, "lambda")
