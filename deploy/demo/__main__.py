"""`make demo`: run the seed scenario and show what came of it; the exit status says whether it worked."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

from botocore.exceptions import BotoCoreError, ClientError

from broker.settings import Settings
from deploy.commands.options import find_endpoint
from deploy.demo.picture import in_half_blocks, size_of
from deploy.demo.spans import Collector, Span, timeline
from deploy.demo.story import FUNCTION, Ending, Story, place_of
from deploy.demo.system import running
from deploy.errors import DeployError

LARGEST = (64, 48)
TRACE_WITHIN_SECONDS = 5.0


def say(line: str) -> None:
    """A step of the demo."""
    print(f"* {line}", flush=True)


def main() -> int:
    """The exit status."""
    directory = Path(tempfile.mkdtemp(prefix="lightswitch-demo-"))
    directory.chmod(0o711)  # functions reach their code below it
    collector = Collector()
    try:
        return tell(directory, collector)
    except (DeployError, BotoCoreError, ClientError) as error:
        print(f"the demo did not work: {error}\nlogs are in {directory}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    finally:
        collector.close()


def tell(directory: Path, collector: Collector) -> int:
    """Run it and show what came of it. Raises DeployError, botocore's errors."""
    say("starting Lightswitch with local S3, SQS, SNS and DynamoDB")
    with running(directory, collector.url) as data_dir:
        endpoint = find_endpoint(None, data_dir.path, {})
        ending = Story(endpoint, place_of(data_dir), say).tell(Settings.from_environ().account_id)
        spans = until_traced(collector)
    check(ending)
    saved = directory / "thumbnail.png"
    saved.write_bytes(ending.thumbnail)
    shutil.rmtree(directory / "data", ignore_errors=True)  # kept only where something went wrong
    if not os.environ.get("NO_COLOR"):
        print(f"\n{in_half_blocks(ending.thumbnail)}\n")
    say(f"saved {saved}")
    uploaded, heard = ending.steps
    print("\n  step                          began after      took")
    print(timeline(sorted([uploaded, *spans, heard], key=lambda span: span.started_ns)))
    print(f"\nFrom upload to message: {(heard.ended_ns - uploaded.started_ns) / 1e6:.0f} ms. It works.")
    return 0


def until_traced(collector: Collector) -> list[Span]:
    """The run's spans, once they have been exported. Raises DeployError."""
    deadline = time.monotonic() + TRACE_WITHIN_SECONDS
    while time.monotonic() < deadline:
        spans = collector.trace_of("handler")
        if {"handler", "queue", f"trigger {FUNCTION}"} <= {span.name for span in spans}:
            return spans
        time.sleep(0.05)
    raise DeployError("the trace of the run did not come")


def check(ending: Ending) -> None:
    """Raises DeployError where the thumbnail is not what the message says, or too large."""
    size = size_of(ending.thumbnail)
    if list(size) != ending.message["to"] or size[0] > LARGEST[0] or size[1] > LARGEST[1]:
        raise DeployError(f"the thumbnail has {size} pixels, and the message says {ending.message}")


if __name__ == "__main__":
    sys.exit(main())
