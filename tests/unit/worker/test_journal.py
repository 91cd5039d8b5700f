"""The log of an environment and the tail that a caller may ask for."""

from __future__ import annotations

from worker.journal import TAIL_BYTES, Journal
from worker.metering import Usage

USAGE = Usage(1, 0, 128, 30)


def journal() -> tuple[Journal, list[bytes]]:
    written: list[bytes] = []
    made = Journal(lambda function, stream, text: written.append(text), "f")
    return made, written


def test_a_run_is_framed_by_start_end_and_report() -> None:
    made, written = journal()
    made.begin("id", "7", keep_tail=False)
    made.output(b"hello\n")
    assert made.end("id", USAGE) == b""
    lines = b"".join(written).splitlines()
    assert lines[:3] == [b"START RequestId: id Version: 7", b"hello", b"END RequestId: id"]
    assert lines[3].startswith(b"REPORT RequestId: id\t")


def test_the_tail_is_the_end_of_this_run_only() -> None:
    made, _ = journal()
    made.begin("one", "7", keep_tail=True)
    made.output(b"first\n")
    assert b"first" in made.end("one", USAGE)
    made.output(b"between\n")
    made.begin("two", "7", keep_tail=True)
    tail = made.end("two", USAGE)
    assert b"first" not in tail
    assert b"between" not in tail
    assert b"START RequestId: two" in tail


def test_the_first_tail_includes_what_init_wrote() -> None:
    made, _ = journal()
    made.output(b"loading\n")
    made.begin("one", "7", keep_tail=True)
    assert made.end("one", USAGE).startswith(b"loading\nSTART")


def test_the_tail_is_at_most_four_kilobytes() -> None:
    made, _ = journal()
    made.begin("id", "7", keep_tail=True)
    for _ in range(100):
        made.output(b"x" * 1000)
    tail = made.end("id", USAGE)
    assert len(tail) == TAIL_BYTES
    assert b"REPORT RequestId: id" in tail
