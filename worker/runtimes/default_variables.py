"""The environment variables that a runtime sets and a function may set otherwise."""

from __future__ import annotations

from worker.sandbox.interface import Locations


def default_variables(locations: Locations, runtime_name: str) -> dict[str, str]:
    """By name, for a process that sees its directories at `locations`."""
    runtime, task = locations.library or "/var/runtime", locations.task_root
    layers = locations.layers or "/opt"
    variables = {
        "HOME": locations.scratch,
        "LANG": "en_US.UTF-8",
        "LD_LIBRARY_PATH": f"/lib64:/usr/lib64:{runtime}:{runtime}/lib:{task}:{task}/lib:{layers}/lib",
        "PATH": f"/usr/local/bin:/usr/bin:/bin:{layers}/bin",
        "TZ": ":UTC",
    }
    if runtime_name.startswith("python") and locations.library:
        variables["PYTHONPATH"] = runtime
    if runtime_name.startswith("nodejs"):
        major = runtime_name.removeprefix("nodejs").partition(".")[0]
        places = (f"{layers}/nodejs/node{major}", f"{layers}/nodejs", runtime)
        modules = [f"{place}/node_modules" for place in places]
        variables["NODE_PATH"] = ":".join([*modules, runtime, task])
    return variables
