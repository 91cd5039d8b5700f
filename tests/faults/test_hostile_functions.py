"""Functions that attack: their callers get AWS's errors, a neighbour does not notice, the worker goes on."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.deployment_packages import package, python_package
from tests.faults.neighbourhood import NEIGHBOUR, Answer, attacked, outcome
from tests.live_system import LiveSystem

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="the strongest level needs root")

HOSTILE = Path(__file__).parent / "functions" / "hostile.py"
HANG = b"import time\ntime.sleep(600)\n"


@pytest.fixture(scope="module")
def system(redis_executable: str) -> Iterator[LiveSystem]:
    """One worker that refuses anything but the strongest level."""
    directory = Path(tempfile.mkdtemp(prefix="lightswitch-hostile-", dir="/var/tmp"))
    directory.chmod(0o711)
    arguments = ("--workers", "1", "--isolation", "L3")
    with LiveSystem(directory / "system", arguments, shared=()) as system:
        system.deploy("neighbour", package({"app.py": NEIGHBOUR}), MemorySize=1769)
        system.deploy("hostile", python_package(HOSTILE), timeout_seconds=3, MemorySize=768)
        system.deploy("hanging", package({"app.py": HANG}), timeout_seconds=3)
        yield system
    shutil.rmtree(directory)


def attack(system: LiveSystem, do: str, function: str = "hostile", **event: Any) -> Answer:
    return attacked(system, function, {"do": do, **event})


TIMED_OUT = "Task timed out after 3.00 seconds"
KILLED = "Runtime exited with error: signal: killed"


class TestAttacks:
    @pytest.mark.parametrize("do", ["fork_bomb", "endless_log", "ignore_signals"])
    def test_what_never_ends_times_out(self, system: LiveSystem, do: str) -> None:
        error_type, message = attack(system, do)
        assert error_type == "Sandbox.Timedout"
        assert message.endswith(TIMED_OUT)

    @pytest.mark.parametrize("do", ["memory", "answer_another"])
    def test_what_breaks_the_rules_is_killed(self, system: LiveSystem, do: str) -> None:
        error_type, message = attack(system, do)
        assert error_type == "Runtime.ExitError"
        assert message.endswith(KILLED)

    def test_who_answers_twice_has_answered_once_at_most(self, system: LiveSystem) -> None:
        answer = attack(system, "answer_twice")
        assert answer in (("", 42), ("Runtime.ExitError", answer[1]))

    def test_an_init_that_hangs_times_out(self, system: LiveSystem) -> None:
        error_type, message = attack(system, "nothing", "hanging")
        assert error_type == "Sandbox.Timedout"
        assert message.endswith("Task timed out after 10.00 seconds")

    def test_children_share_the_memory_of_their_function(self, system: LiveSystem) -> None:
        error_type, result = attack(system, "memory_in_children")
        if error_type:
            assert result.endswith(KILLED)
        else:
            assert -9 in result

    def test_an_exit_in_the_middle_has_no_reason(self, system: LiveSystem) -> None:
        error_type, message = attack(system, "leave")
        assert error_type == "Runtime.ExitError"
        assert message.endswith("Runtime exited without providing a reason")

    def test_scratch_files_and_sockets_run_out(self, system: LiveSystem) -> None:
        assert attack(system, "fill_scratch") == ("", "ENOSPC")
        assert attack(system, "open_everything") == (
            "",
            {"files": "EMFILE", "sockets": "EMFILE", "inotify": "EMFILE"},
        )

    def test_threads_sleep_between_invocations(self, system: LiveSystem) -> None:
        event = {"do": "tick"}
        _, before = outcome(system, "hostile", {**event, "start": True})
        time.sleep(1)
        error_type, after = outcome(system, "hostile", event)
        assert error_type == ""
        assert after - before < 500, "a thousand ticks fit into the second"

    def test_nothing_of_others_is_seen(self, system: LiveSystem) -> None:
        directory = system.data_dir
        paths = [str(directory), str(directory / "code-cache"), str(directory / "credentials.json"), "/root"]
        _, seen = attack(system, "spy", paths=paths, redis=str(system.redis_socket))
        assert seen["processes"] == ["1"]
        assert seen["environments"] == ["EACCES"]
        assert set(seen["paths"].values()) == {"ENOENT"}
        assert seen["redis"] == "ENOENT"
        assert not [name for name in seen["own_environment"] if "REDIS" in name or "SECRET" in name]

    def test_code_and_system_cannot_be_changed(self, system: LiveSystem) -> None:
        error_type, answers = attack(system, "deface")
        assert error_type == ""
        assert set(answers) <= {"EROFS", "EACCES"}, answers

    def test_the_depths_of_the_kernel_are_closed(self, system: LiveSystem) -> None:
        _, answers = attack(system, "call_kernel")
        assert set(answers.values()) == {"EPERM"}, answers

    def test_links_lead_nowhere(self, system: LiveSystem) -> None:
        victim = system.data_dir / "victim"
        victim.write_text("intact")
        _, answers = attack(system, "tricky_links", victim=str(victim))
        assert answers == {
            "through a symbolic link": "ENOENT",
            "through the root": "ENOENT",
            "hard link to code": "EXDEV",
            "hard link to the system": "EXDEV",
            "a device": "EPERM",
        }
        assert victim.read_text() == "intact"

    def test_a_function_can_kill_nobody(self, system: LiveSystem) -> None:
        assert attack(system, "kill_everybody") == ("", ["EPERM", "ESRCH"])
