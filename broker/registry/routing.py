"""Which version of a function a qualifier means: aliases, and the weights of those that split their calls."""

from __future__ import annotations

from collections.abc import Callable

from broker.invocation import LATEST
from broker.registry.changes import QualifierNotFound
from broker.registry.model import FunctionConfig, FunctionRecord

Random = Callable[[], float]
"""Gives a number in [0, 1); draws the version behind a weighted alias."""


def route(record: FunctionRecord, qualifier: str, random: Random) -> FunctionConfig:
    """The version that a call with `qualifier` (empty: none given) runs. Raises QualifierNotFound."""
    if not qualifier or qualifier == LATEST:
        return record.latest
    config = record.version(version_behind(record, qualifier, random))
    if config is None:
        raise QualifierNotFound(record.name, qualifier)
    return config


def version_behind(record: FunctionRecord, qualifier: str, random: Random) -> str:
    """The version that an alias points to in this draw; anything that is no alias is returned as it is."""
    alias = record.aliases.get(qualifier)
    if alias is None:
        return qualifier
    if alias.additional_version_weights:
        drawn = random()
        for version, weight in alias.additional_version_weights.items():
            if drawn < weight:
                return version
            drawn -= weight
    return alias.function_version
