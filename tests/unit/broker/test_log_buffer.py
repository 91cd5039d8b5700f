"""The buffer is bounded, fair, and never drops in silence."""

from __future__ import annotations

from broker.log_buffer import CHUNK_OVERHEAD_BYTES, Backlog, LogBuffer, entries


def stored(
    buffer: LogBuffer, function_name: str = "f", most_entry_bytes: int = 1000
) -> list[tuple[str, bytes]]:
    return entries(buffer.take()[function_name], most_entry_bytes)


def test_chunks_of_a_stream_are_joined_and_streams_kept_apart() -> None:
    buffer = LogBuffer(10_000, 10_000)
    for stream, text in (("a", b"1"), ("b", b"x"), ("a", b"2\n")):
        buffer.append("f", stream, text)
    assert stored(buffer) == [("a", b"12\n"), ("b", b"x")]


def test_taking_empties_the_buffer() -> None:
    buffer = LogBuffer(10_000, 10_000)
    buffer.append("f", "a", b"1")
    assert buffer.size_bytes == 1 + CHUNK_OVERHEAD_BYTES
    buffer.take()
    assert buffer.size_bytes == 0
    assert buffer.take() == {}


def test_a_full_buffer_drops_the_oldest_and_says_how_much() -> None:
    buffer = LogBuffer(3 * (10 + CHUNK_OVERHEAD_BYTES), 10_000)
    for number in range(5):
        buffer.append("f", "a", b"%d" % number * 10)
    assert stored(buffer) == [("a", b"20 bytes of log dropped\n"), ("a", b"2" * 10 + b"3" * 10 + b"4" * 10)]


def test_empty_writes_are_bounded_too() -> None:
    buffer = LogBuffer(1000, 10_000)
    for _ in range(1000):
        buffer.append("f", "a", b"")
    assert buffer.size_bytes <= 1000


def test_a_noisy_function_silences_only_itself() -> None:
    buffer = LogBuffer(500, 10_000)
    buffer.append("quiet", "a", b"hello")
    for _ in range(100):
        buffer.append("noisy", "a", b"x" * 100)
    assert stored(buffer, "quiet") == [("a", b"hello")]


def test_all_functions_together_are_bounded() -> None:
    buffer = LogBuffer(500, 1000)
    for number in range(100):
        buffer.append(f"f{number}", "a", b"x" * 100)
    assert buffer.size_bytes <= 1000


def test_one_chunk_larger_than_the_buffer_is_dropped_and_counted() -> None:
    buffer = LogBuffer(500, 1000)
    buffer.append("f", "a", b"x" * 5000)
    assert stored(buffer) == [("", b"5000 bytes of log dropped\n")]


def test_what_is_put_back_comes_before_what_came_since() -> None:
    buffer = LogBuffer(10_000, 10_000)
    buffer.append("f", "a", b"1")
    taken = buffer.take()
    buffer.append("f", "a", b"2")
    buffer.put_back(taken)
    assert stored(buffer) == [("a", b"12")]


def test_what_was_dropped_is_still_told_after_putting_back() -> None:
    buffer = LogBuffer(CHUNK_OVERHEAD_BYTES + 3, 10_000)
    buffer.append("f", "a", b"one")
    buffer.append("f", "a", b"two")
    taken = buffer.take()
    buffer.append("f", "a", b"six")
    buffer.put_back(taken)
    assert stored(buffer) == [("a", b"6 bytes of log dropped\n"), ("a", b"six")]


def test_a_forgotten_function_leaves_nothing() -> None:
    buffer = LogBuffer(10_000, 10_000)
    buffer.append("f", "a", b"1")
    buffer.append("g", "a", b"2")
    buffer.forget("f")
    buffer.forget("unknown")
    assert list(buffer.take()) == ["g"]


def test_a_long_text_is_cut_at_line_ends_where_it_has_some() -> None:
    backlog = Backlog()
    backlog.chunks.append(("a", b"12\n4567\n" + b"x" * 12))
    assert entries(backlog, 8) == [("a", b"12\n4567\n"), ("a", b"x" * 8), ("a", b"x" * 4)]
