"""What a run is billed."""

from __future__ import annotations

from worker.metering import Usage, report_line, restore_line


def test_billed_time_is_rounded_up_to_a_millisecond() -> None:
    assert Usage(3.01, 0, 128, 36).billed_ms == 4
    assert Usage(0.02, 0, 128, 36).billed_ms == 1


def test_init_time_is_billed() -> None:
    assert Usage(3.0, 110.1, 128, 36).billed_ms == 114


def test_gb_seconds_follow_the_memory_setting() -> None:
    assert Usage(1000, 0, 512, 36).gb_seconds == 0.5


def test_the_report_line_is_aws_s() -> None:
    line = report_line("id", Usage(3.01, 110.104, 128, 36))
    assert line == (
        "REPORT RequestId: id\tDuration: 3.01 ms\tBilled Duration: 114 ms\tMemory Size: 128 MB\t"
        "Max Memory Used: 36 MB\tInit Duration: 110.10 ms\t\n"
    )
    assert "Init Duration" not in report_line("id", Usage(3.01, 0, 128, 36))


def test_a_restored_environment_is_billed_and_reported_apart() -> None:
    usage = Usage(3.01, 0, 1024, 36, restore_ms=7.2)
    assert (usage.billed_ms, usage.billed_restore_ms) == (4, 8)
    assert usage.gb_seconds == 0.012
    assert report_line("id", usage) == (
        "REPORT RequestId: id\tDuration: 3.01 ms\tBilled Duration: 4 ms\tMemory Size: 1024 MB\t"
        "Max Memory Used: 36 MB\tRestore Duration: 7.20 ms\tBilled Restore Duration: 8 ms\t\n"
    )
    assert restore_line(7.2) == "RESTORE_REPORT Restore Duration: 7.20 ms\n"
