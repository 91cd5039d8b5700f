"""Frames between the worker and a Python function, over one stream socket pair.

Worker to function: `REQUEST` header, then the texts whose lengths it names, then the payload.
Function to worker: `ANSWER` header, then the body. Integers are little-endian.
Both ends import this module: the worker as `worker.runtimes.python.frames`.
"""

from __future__ import annotations

import struct

REQUEST = struct.Struct("<IIqHHHI")
"""Length of all that follows this field, run number, deadline (epoch ms), then the lengths in bytes of
request id, invoked ARN, trace header and client context. The rest is the payload."""

ANSWER = struct.Struct("<IIBII")
"""Length of all that follows this field, run number (0 for READY and INIT_ERROR), kind, peak memory in
KB, microseconds that the run took. The rest is the body."""

LENGTH_BYTES = 4

READY = 0
RESPONSE = 1
ERROR = 2
INIT_ERROR = 3

RESPONSE_LIMIT_BYTES = 6_291_556
"""Largest response that Lambda lets through."""

FRAME_LIMIT_BYTES = RESPONSE_LIMIT_BYTES + 65_536
"""A longer frame is no answer of our runtime."""
