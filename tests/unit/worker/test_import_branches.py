"""How many processes with imports a worker keeps, and which it ends for others."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from worker.sandbox import import_branches
from worker.sandbox.import_branches import (
    IMPORT_SECONDS,
    MOST_BRANCHES,
    MOST_DEATHS,
    REST_SECONDS,
    SHED_SECONDS,
    ImportBranches,
)
from worker.sandbox.import_sets import FunctionImports, ImportSet
from worker.sandbox.interface import ProcessSpec, SandboxUnavailable

LIMIT_MB = 10


class Stem:
    """A zygote's place."""

    class interpreter:
        version = "3.12"


class Branch:
    """A branch that comes up as it is told to."""

    weight_kb = 4096
    failure: Exception | None = None

    def __init__(self, stem: Any, on_event: Any, on_lost: Any) -> None:
        self.stem, self.lose = stem, on_lost
        self.request: Any = None
        self.closed = False

    async def grow(self, request: Any, within_seconds: float) -> Any:
        self.request = request
        if self.failure is not None:
            raise self.failure
        return {"kilobytes": self.weight_kb}

    async def close(self) -> None:
        self.closed = True


class Kept:
    """The branches under test, with a clock and users of their own."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, limit_mb: int = LIMIT_MB) -> None:
        self.stem: Any = Stem()
        self.seconds = 1000.0
        self.used: set[Any] = set()
        self.lost: list[Any] = []
        self.made: list[Any] = []
        monkeypatch.setattr(import_branches, "BranchSlot", self._make)
        self.branches = ImportBranches(
            limit_mb,
            4,
            self._zygote,
            lambda slot: ("/var/runtime", "/data/runtime"),
            lambda event: None,
            self.lost.append,
            self.used.__contains__,
            lambda: self.seconds,
        )

    def _make(self, *arguments: Any) -> Branch:
        branch = Branch(*arguments)
        self.made.append(branch)
        return branch

    async def _zygote(self, version: str) -> Any:
        return self.stem

    def fitting(self, *modules: str, task_root: Path = Path("/nowhere"), **variables: str) -> Any:
        spec = ProcessSpec(
            *("python3.12", "app.handler", task_root, 128, 512, lambda seen: {}, 0, None),
            imports=FunctionImports(frozenset(modules), frozenset()),
        )
        return self.branches.fitting(self.stem, spec, variables)


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> Kept:
    return Kept(monkeypatch)


def of(*modules: str, seconds: float = 0.1, kilobytes: int = 4096) -> ImportSet:
    return ImportSet("3.12", modules, (("HOME", "/tmp"), ("DEBUG", None)), seconds, kilobytes)


async def test_a_function_is_forked_from_the_one_that_has_its_imports(kept: Kept) -> None:
    assert await kept.branches.grow(of("a"))

    assert kept.fitting("a", "b", HOME="/tmp") is kept.made[0]
    assert kept.fitting("b", HOME="/tmp") is None
    assert kept.made[0].request == {
        "request": "import",
        "modules": ("a",),
        "variables": {"HOME": "/tmp"},
        "library": "/var/runtime",
        "library_source": "/data/runtime",
        "prepared": 1,
        "seconds": IMPORT_SECONDS,
    }


async def test_who_brings_a_module_of_the_name_is_not(kept: Kept, tmp_path: Path) -> None:
    (tmp_path / "a.py").touch()
    await kept.branches.grow(of("a"))

    assert kept.fitting("a", task_root=tmp_path, HOME="/tmp") is None


async def test_the_one_that_was_not_used_for_longest_makes_room(kept: Kept) -> None:
    await kept.branches.grow(of("a"))
    await kept.branches.grow(of("b"))
    kept.seconds += REST_SECONDS + 1
    kept.fitting("a", HOME="/tmp")

    assert await kept.branches.grow(of("c"))

    assert [set_.modules for set_ in kept.branches.sets] == [("a",), ("c",)]
    await asyncio.sleep(0)
    assert [branch.closed for branch in kept.made] == [False, True, False]


async def test_one_that_was_used_just_now_makes_none(kept: Kept) -> None:
    await kept.branches.grow(of("a"))
    await kept.branches.grow(of("b"))

    assert not await kept.branches.grow(of("c"))
    assert len(kept.made) == 2


async def test_one_whose_environments_live_makes_none(kept: Kept) -> None:
    await kept.branches.grow(of("a"))
    await kept.branches.grow(of("b"))
    kept.used.update(kept.made)
    kept.seconds += REST_SECONDS + 1

    assert not await kept.branches.grow(of("c"))
    kept.branches.shed()
    assert len(kept.branches.sets) == 2


async def test_where_memory_runs_short_none_is_made_for_a_while(kept: Kept) -> None:
    await kept.branches.grow(of("a"))

    kept.branches.shed()

    assert kept.branches.sets == ()
    assert not await kept.branches.grow(of("a"))
    kept.seconds += SHED_SECONDS
    assert await kept.branches.grow(of("a"))


async def test_one_that_is_heavier_than_was_thought_is_ended(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Branch, "weight_kb", LIMIT_MB * 1024 + 1)

    assert not await kept.branches.grow(of("a"))

    assert kept.made[0].closed
    assert not await kept.branches.grow(of("a"))
    assert len(kept.made) == 1


async def test_there_are_never_more_than_so_many(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Kept(monkeypatch, limit_mb=10_000)
    grown = [await kept.branches.grow(of(f"m{number}")) for number in range(MOST_BRANCHES + 1)]

    assert grown == [True] * MOST_BRANCHES + [False]


async def test_without_memory_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not await Kept(monkeypatch, limit_mb=0).branches.grow(of("a"))


async def test_one_that_dies_again_and_again_is_given_up(kept: Kept) -> None:
    for _ in range(MOST_DEATHS):
        assert await kept.branches.grow(of("a"))
        kept.made[-1].lose()
        assert kept.fitting("a", HOME="/tmp") is None

    assert kept.lost == kept.made
    assert not await kept.branches.grow(of("a"))


async def test_one_that_cannot_import_leaves_functions_as_they_were(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Branch, "failure", SandboxUnavailable("importing changes threads"))

    assert not await kept.branches.grow(of("a"))

    assert kept.made[0].closed
    assert kept.fitting("a", HOME="/tmp") is None


async def test_all_end_with_the_sandbox(kept: Kept) -> None:
    await kept.branches.grow(of("a"))
    await kept.branches.close()

    assert kept.made[0].closed
    assert not await kept.branches.grow(of("b"))
