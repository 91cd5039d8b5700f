"""What of the sandbox can be checked without a kernel: the policy, the filter, the init program."""

from __future__ import annotations

import errno
import struct

import pytest

from worker.sandbox.inside import init_program, seccomp
from worker.sandbox.levels import IsolationPolicy, Level, parse_level

MACHINES = ("x86_64", "aarch64")


def test_the_strongest_level_is_tried_first() -> None:
    assert IsolationPolicy().candidates() == (Level.L3, Level.L2, Level.L1, Level.L0)


def test_nothing_below_the_minimum_is_tried() -> None:
    assert IsolationPolicy(minimum=Level.L2).candidates() == (Level.L3, Level.L2)
    assert IsolationPolicy(forced=Level.L1, minimum=Level.L2).candidates() == ()


def test_a_network_policy_rules_out_levels_that_cannot_enforce_it() -> None:
    assert IsolationPolicy(network="none").candidates() == (Level.L3, Level.L2)


def test_levels_are_named_as_on_the_command_line() -> None:
    assert (parse_level("auto"), parse_level("L2"), str(Level.L2)) == (None, Level.L2, "L2")
    with pytest.raises(ValueError, match="'L9' is no isolation level; say auto, L3, L2, L1 or L0"):
        parse_level("L9")


def run_filter(machine: str, number: int, argument: int = 0, architecture: int = 0) -> int:
    """Interpret the filter as the kernel does; its answer."""
    steps = list(struct.iter_unpack("=HBBI", seccomp.program(machine)))
    data = {
        seccomp.NUMBER_AT: number,
        seccomp.ARCHITECTURE_AT: architecture or seccomp.ARCHITECTURES[machine],
        seccomp.FIRST_ARGUMENT_AT: argument,
    }
    at = accumulator = 0
    while True:
        code, when_true, when_false, operand = steps[at]
        at += 1
        if code == seccomp.ANSWER:
            return int(operand)
        if code == seccomp.LOAD:
            accumulator = data[operand]
            continue
        holds = {
            seccomp.IF_EQUAL: accumulator == operand,
            seccomp.IF_AT_LEAST: accumulator >= operand,
            seccomp.IF_ANY_BIT: accumulator & operand != 0,
        }[code]
        at += when_true if holds else when_false


@pytest.mark.parametrize("machine", MACHINES)
def test_every_refused_call_is_refused_and_its_neighbours_are_not(machine: str) -> None:
    column = MACHINES.index(machine)
    refused = {numbers[column] for numbers in seccomp.REFUSED.values()} - {0}

    answers = {number: run_filter(machine, number) for number in range(450)}

    assert {n for n, answer in answers.items() if answer == seccomp.REFUSE | errno.EPERM} == refused
    assert answers[seccomp.CLONE3] == seccomp.REFUSE | errno.ENOSYS
    others = set(answers) - refused - {seccomp.CLONE3, seccomp.SOCKET[machine]}
    assert {answers[n] for n in others} == {seccomp.ALLOW}


@pytest.mark.parametrize("machine", MACHINES)
def test_clone_makes_processes_but_no_namespaces(machine: str) -> None:
    assert run_filter(machine, seccomp.CLONE[machine], 17) == seccomp.ALLOW
    for namespace in (0x10000000, 0x20000, 0x40000000):
        assert run_filter(machine, seccomp.CLONE[machine], namespace | 17) == seccomp.REFUSE | errno.EPERM


@pytest.mark.parametrize("machine", MACHINES)
def test_only_common_families_of_sockets_can_be_had(machine: str) -> None:
    families = [f for f in range(46) if run_filter(machine, seccomp.SOCKET[machine], f) == seccomp.ALLOW]

    assert families == [1, 2, 10, 16]


@pytest.mark.parametrize("machine", MACHINES)
def test_calls_of_another_architecture_kill(machine: str) -> None:
    assert run_filter(machine, 0, architecture=0x40000003) == seccomp.KILL


@pytest.mark.parametrize("machine", MACHINES)
def test_the_init_program_is_a_small_elf_file_that_begins_at_its_code(machine: str) -> None:
    program = init_program.program(machine)

    assert program[:4] == b"\x7fELF"
    assert len(program) < 256
    (entry,) = struct.unpack_from("<Q", program, 24)
    assert entry == init_program.ADDRESS + init_program.HEADER_BYTES
    assert program.endswith(init_program.SIGNAL_ACTION)
