"""Which modules of the runtime functions import at init, and which set of them serves a function."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import msgspec

WORTH_SECONDS = 0.02
"""Processor time that imports must take for a process of their own to be kept."""
MOST_MODULES = 2_000
MOST_CHANGED = 256
"""More variables say nothing, as too many modules do: a worker remembers what thousands of functions told."""
MOST_REPORT_BYTES = 65_536
NAME = re.compile(r"[A-Za-z_][\w-]*(?:\.[A-Za-z_][\w-]*)*", re.ASCII)
PROGRAMS = frozenset({"__main__", "antigravity", "this", "test", "idlelib", "turtledemo"})
"""Of the standard library, what acts when it is imported, or is no part of a function. A trial would show it;
it is not even tried."""


@dataclass(frozen=True, slots=True)
class FunctionImports:
    """What a function's init imported of the runtime's own modules, in the function's words, and which
    environment variables it changed."""

    modules: frozenset[str]
    changed: frozenset[str]


class _Report(msgspec.Struct):
    modules: list[str]
    changed: list[str]


_decode = msgspec.json.Decoder(_Report).decode


def read_report(report: bytes) -> FunctionImports | None:
    """What a function's process said, without what is never imported ahead; None where it is no report.
    Nothing of it is trusted."""
    if len(report) > MOST_REPORT_BYTES:
        return None
    try:
        found = _decode(report)
    except msgspec.MsgspecError:
        return None
    if len(found.modules) > MOST_MODULES or len(found.changed) > MOST_CHANGED:
        return None
    return FunctionImports(frozenset(filter(_is_importable, found.modules)), frozenset(found.changed))


def _is_importable(name: str) -> bool:
    return NAME.fullmatch(name) is not None and not PROGRAMS.intersection(name.split("."))


@dataclass(frozen=True, slots=True)
class ImportSet:
    """Modules that one process imports, tried before: sorted, with everything that comes with them. `version`
    of Python; `read`: environment variables that they looked at, and what they found (None: nothing);
    `seconds` of processor time and `kilobytes` that they take."""

    version: str
    modules: tuple[str, ...]
    read: tuple[tuple[str, str | None], ...]
    seconds: float
    kilobytes: int

    @property
    def top_level(self) -> frozenset[str]:
        """Names of the packages and modules that it is about."""
        return frozenset(name.partition(".")[0] for name in self.modules)

    def serves(
        self, function: FunctionImports, variables: Mapping[str, str], brought: frozenset[str]
    ) -> bool:
        """Whether a function finds only what its own init would have imported, from the same places, with the
        same environment. `variables` are all it is started with, `brought` the modules it brings itself."""
        if not function.modules.issuperset(self.modules) or brought & self.top_level:
            return False
        return all(variables.get(name) == value and name not in function.changed for name, value in self.read)


def best_for(
    sets: Iterable[ImportSet],
    function: FunctionImports,
    variables: Mapping[str, str],
    brought: frozenset[str],
) -> ImportSet | None:
    """The one that spares the function most."""
    serving = [each for each in sets if each.serves(function, variables, brought)]
    return max(serving, key=lambda each: each.seconds, default=None)


def is_worth_it(found: ImportSet, present: Iterable[ImportSet]) -> bool:
    """Whether it spares enough beyond the best part of it that is there already."""
    parts = [each for each in present if each.version == found.version]
    spared = max((each.seconds for each in parts if set(each.modules) <= set(found.modules)), default=0.0)
    return found.seconds - spared >= WORTH_SECONDS
