"""The states of an execution environment, and the only moves between them."""

from __future__ import annotations

import enum


class State(enum.Enum):
    """Where an environment is in its life."""

    STARTING = "starting"
    IDLE = "idle"
    BUSY = "busy"
    FROZEN = "frozen"
    STOPPING = "stopping"
    GONE = "gone"

    # Members are compared by identity; Enum's own hash is a Python call in every `move`.
    __hash__ = object.__hash__


TRANSITIONS: dict[State, frozenset[State]] = {
    State.STARTING: frozenset({State.IDLE, State.STOPPING, State.GONE}),
    State.IDLE: frozenset({State.BUSY, State.FROZEN, State.STOPPING, State.GONE}),
    State.BUSY: frozenset({State.IDLE, State.STOPPING, State.GONE}),
    State.FROZEN: frozenset({State.IDLE, State.STOPPING, State.GONE}),
    State.STOPPING: frozenset({State.GONE}),
    State.GONE: frozenset(),
}


class IllegalTransition(RuntimeError):
    """An environment was moved where its state does not lead."""


def move(current: State, to: State) -> State:
    """`to`, if the table allows it from `current`; raises IllegalTransition."""
    if to not in TRANSITIONS[current]:
        raise IllegalTransition(f"an environment cannot go from {current.value} to {to.value}")
    return to
