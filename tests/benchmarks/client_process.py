"""A load generating process: one JSON command a line in, one JSON answer a line out.

Every contestant's callers live in a process of their own, so that no client shares an interpreter lock
with the one that measures, and start-up and imports are outside every round.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tests.process_family import Closing

Command = dict[str, Any]
Answer = dict[str, Any]


class ClientProcess(Closing):
    """Starts `python -m module` and asks it to do rounds."""

    def __init__(
        self, module: str, arguments: Sequence[str] = (), environ: Mapping[str, str] | None = None
    ) -> None:
        self._module = module
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **(environ or {})},
        )

    def ask(self, command: Command) -> Answer:
        """Do one command; returns its answer. Raises RuntimeError where the process died or refused."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self._module} ended with status {self._process.wait()}; see its stderr")
        answer: Answer = json.loads(line)
        if "error" in answer:
            raise RuntimeError(f"{self._module} could not do {command}: {answer['error']}")
        return answer

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()


def serve(do: Callable[[Command], Answer]) -> None:
    """The other side: answer commands from stdin until it closes."""
    for line in sys.stdin:
        try:
            answer = do(json.loads(line))
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)
