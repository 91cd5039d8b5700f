"""What a generic process is: sandboxed, its runtime loaded, waiting to hear which function it is to run.

It starts like any process of a function (namespaces, user id, control group, seccomp, Landlock), but with
an empty /var/task and /opt. A worker keeps a few of them (`generic_starts`); each serves one environment and
ends with it, so that nothing of one function is ever seen by another.

How a runtime joins: its `OfficialRuntime.generic` (`worker.runtimes.official.interface`) returns a
GenericProcess, or None for a function that such a process cannot serve (because of variables that the
interpreter reads at its own start, for instance), which is then started plainly. `command` runs a small
program of ours, which

1. loads the interpreter and the client, without anything that depends on the function;
2. writes one byte to descriptor READINESS;
3. reads descriptor ASSIGNMENT to its end: the function's whole environment, as in /proc/PID/environ
   (`NAME=VALUE`, each ended by a NUL, in UTF-8). Nothing but the end: it leaves with status 0;
4. writes one more byte to READINESS: its end is the function's affair from now on, before, it was nobody's;
5. closes both, makes these its environment variables, goes to LAMBDA_TASK_ROOT, and hands over to the client
   with the handler `_HANDLER`, as a plain start does.

By then code and layers lie at /var/task and /opt, the limits are the function's, and what it writes to
stdout and stderr is the function's. Both descriptors are pipes and can also be opened as /proc/self/fd/N.
`worker/runtimes/node/await_function.mjs` is an example.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

ASSIGNMENT = 3
READINESS = 4


@dataclass(frozen=True, slots=True)
class GenericProcess:
    """One kind of generic process: environments that ask for equal ones can take each other's.

    `command` and `variables` hold before the function is known; paths in them are those that the process
    sees (`worker.sandbox.inside.root`): `runtime_directory` at RUNTIME, `program_directory` at PROGRAMS,
    where functions no longer see it.
    """

    runtime: str
    command: tuple[str, ...]
    variables: tuple[tuple[str, str], ...]
    runtime_directory: Path
    program_directory: Path
    memory_mb: int
    """What it may use while it waits: the function's, or more."""
