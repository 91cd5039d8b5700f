"""What AWS's own bootstrap tells the Java virtual machine, and what we add."""

from __future__ import annotations

import math
import re

HEAP_SHARE = 0.85
"""Of a function's memory. Seen on Lambda: -XX:MaxHeapSize=445645k with 512 MB."""

LOADING_PROPERTY = "com.amazonaws.services.lambda.runtime.api.client.runtimeapi.NativeClient.JNI"
NATIVE_ACCESS_SINCE = 24
"""From this version on, loading the client's native part is warned of unless it is allowed."""

UTF_8_SINCE = 18
"""From this version on, text is in UTF-8 whatever the locale; Lambda's locale is a UTF-8 one."""

MACHINE = r"-XX:MaxRAM="
HEAP = r"-Xmx|-XX:MaxHeapSize=|-XX:MaxRAM(Percentage|Fraction)="
COLLECTOR = r"-XX:\+Use\w+GC\b"
ENCODING = r"-Dfile\.encoding="
COMPILATION = r"-XX:TieredStopAtLevel=|-XX:-TieredCompilation|-Xint|-Xcomp"


def java_options(major: int, memory_mb: int, chosen: str, native_part: str) -> list[str]:
    """For Java `major` and a function with `memory_mb`.

    `chosen` is the function's JAVA_TOOL_OPTIONS. The machine reads them before its command line, which would
    win: so what they decide is left out of it. `native_part` is the path of the client's library.
    """
    options = [
        # A share that the function's user chooses is one of its memory, as in Lambda's small machines.
        *_unless(MACHINE, chosen, f"-XX:MaxRAM={memory_mb}m"),
        *_unless(HEAP, chosen, f"-XX:MaxHeapSize={heap_kb(memory_mb)}k"),
        *_unless(COLLECTOR, chosen, "-XX:+UseSerialGC"),
        *_unless(COMPILATION, chosen, "-XX:+TieredCompilation", "-XX:TieredStopAtLevel=1"),
        "--add-opens=java.base/java.io=ALL-UNNAMED",
        "-XX:+ErrorFileToStderr",
        "-Dorg.crac.Core.Compat=com.amazonaws.services.lambda.crac",
        f"-D{LOADING_PROPERTY}={native_part}",
    ]
    if major < UTF_8_SINCE:
        options += _unless(ENCODING, chosen, "-Dfile.encoding=UTF-8")
    if major >= NATIVE_ACCESS_SINCE:
        options.append("--enable-native-access=ALL-UNNAMED")
    return options


def heap_kb(memory_mb: int) -> int:
    """The largest heap of a function with so much memory, as on Lambda."""
    return math.ceil(memory_mb * 1024 * HEAP_SHARE)


def _unless(pattern: str, chosen: str, *options: str) -> tuple[str, ...]:
    return () if re.search(rf"(^|\s)({pattern})", chosen) else options
