"""The lifecycle table: every move that it does not name is refused."""

from __future__ import annotations

import itertools

import pytest

from worker.environments.lifecycle import TRANSITIONS, IllegalTransition, State, move

EVERY_MOVE = tuple(itertools.product(State, State))
LEGAL = [(current, to) for current, to in EVERY_MOVE if to in TRANSITIONS[current]]
ILLEGAL = [(current, to) for current, to in EVERY_MOVE if to not in TRANSITIONS[current]]


@pytest.mark.parametrize(("current", "to"), LEGAL)
def test_a_move_of_the_table_leads_to_its_state(current: State, to: State) -> None:
    assert move(current, to) is to


@pytest.mark.parametrize(("current", "to"), ILLEGAL)
def test_any_other_move_is_refused_by_name(current: State, to: State) -> None:
    with pytest.raises(IllegalTransition, match=f"from {current.value} to {to.value}"):
        move(current, to)


def test_nothing_leads_out_of_gone_and_every_state_leads_there() -> None:
    assert TRANSITIONS[State.GONE] == frozenset()
    assert all(State.GONE in TRANSITIONS[state] for state in State if state is not State.GONE)


def test_only_an_idle_environment_becomes_busy() -> None:
    assert [state for state in State if State.BUSY in TRANSITIONS[state]] == [State.IDLE]
