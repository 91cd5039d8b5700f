"""Makes this process a zygote: its level's means, what it imports ahead, and its worker's answer."""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import sys
from typing import Any

from ...sandbox.inside.bare_fork import fitting_fork, noted_hooks
from ...sandbox.inside.isolation import Isolation, set_up
from ...sandbox.inside.kernel import PR_SET_CHILD_SUBREAPER, Kernel
from ...sandbox.inside.probe import can_confine
from ...sandbox.inside.trial import try_out
from .control import MESSAGE_BYTES, send, wake_on_child_exit
from .function_log import FunctionLog
from .import_trial import try_out as _  # noqa: F401 (children run it where its file is not to be seen)
from .packages import import_packages
from .preload import preload
from .rehearsal import warm_up
from .zygote import Zygote


def main(control_descriptor: int) -> None:
    """Run a zygote; the first message is its configuration: descriptors (all that the worker passed on),
    first_uid, uid_count (0: no uids of their own), scratch (directory of all scratch directories), level,
    group (name of the worker's control group), own_network, shared (directories that functions see),
    storage_listener (a fanotify group, or -1), prepared (children to keep ready), packages (to import from
    `library`)."""
    control = socket.socket(fileno=control_descriptor)
    configuration = json.loads(control.recv(MESSAGE_BYTES))
    for descriptor in configuration["descriptors"]:
        os.set_inheritable(descriptor, False)
    kernel = Kernel()
    kernel.prctl(PR_SET_CHILD_SUBREAPER, 1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    first, count = configuration["first_uid"], configuration["uid_count"]
    try:
        isolation = set_up(kernel, configuration)
        abilities = _abilities(isolation, first if count else 0)
        try_out(isolation, first if abilities["own_uid"] else 0, configuration["scratch"])
    except OSError as error:
        send(control, "unavailable", text=str(error))
        os._exit(1)
    log = FunctionLog()
    logging.getLogger().addHandler(log)
    with noted_hooks() as hooked:
        packages, package_problems = import_packages(
            isolation, configuration["library"], configuration["packages"]
        )
        preload()
    isolation.fork = fitting_fork(hooked)
    warm_up(log)
    zygote = Zygote(control, isolation, log, configuration["prepared"])
    if count:
        zygote.living.clear_uids(first, count)
    child_signals = wake_on_child_exit()
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    found = {"packages": packages, "package_problems": package_problems}
    send(control, "ready", version=version, **abilities, **found)
    try:
        zygote.serve(child_signals)
        zygote.end()
        _remove_if_empty(configuration["scratch"])
    finally:
        if not zygote.is_child:
            os._exit(0)


def _abilities(isolation: Isolation, uid: int) -> dict[str, Any]:
    if isolation.own_root:
        found = {"own_uid": bool(uid), "private_mounts": False}
    else:
        found = can_confine(isolation.kernel, uid)
    groups = isolation.cgroups.directories if isolation.cgroups else None
    return {
        **found,
        "own_root": isolation.own_root,
        "own_loopback": isolation.filtered or isolation.loopbacks is not None,
        "groups": groups,
        "weaknesses": list(isolation.weaknesses),
    }


def _remove_if_empty(directory: str) -> None:
    try:
        os.rmdir(directory)
    except OSError:
        # The worker's other zygote still has something there, or the worker was faster.
        return
