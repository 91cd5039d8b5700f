"""AWS's SDK for JavaScript, which Lambda has in /var/runtime for functions that do not bring theirs.

Lambda has every client of it. Here it is those that most functions use, which cost 10 MB and some seconds,
beside an interpreter of 100 MB and a client that is compiled for minutes: too little for an option.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterable
from pathlib import Path

from worker.runtimes.node.npm import npm_install

MAJOR = 3
CLIENTS = (
    *("apigatewaymanagementapi", "bedrock-runtime", "cloudwatch", "cloudwatch-logs"),
    *("cognito-identity-provider", "dynamodb", "eventbridge", "firehose", "kinesis", "kms", "lambda", "s3"),
    *("scheduler", "secrets-manager", "ses", "sesv2", "sfn", "sns", "sqs", "ssm", "sts"),
)
LIBRARIES = ("lib-dynamodb", "lib-storage", "s3-request-presigner", "util-dynamodb")
PACKAGES = tuple(f"@aws-sdk/{name}" for name in (*(f"client-{each}" for each in CLIENTS), *LIBRARIES))

DIRECTORY = "aws-sdk"
SHOWN = ("@smithy", "@aws-sdk")
"""What functions find of it; the last one when it is whole."""
NEW_SECONDS = 3600
FOR_BUNDLERS = ("dist-es", "dist-types")
FOR_PEOPLE = ("*.d.ts", "*.map", "*.md")

NODE_PATH_PROGRAM = Path(__file__).with_name("node_path.mjs")
"""Loaded before a function, it has `import` find what lies on NODE_PATH."""


def has_aws_sdk(directory: Path) -> bool:
    """Whether the installation in `directory` is with it."""
    return (directory / "node_modules" / SHOWN[-1]).is_dir()


def add_aws_sdk(directory: Path, others: Iterable[Path]) -> None:
    """Add it to the installation in `directory`: from npm, or from one of `others` that has just got it.

    Raises CannotInstall."""
    target = directory / DIRECTORY
    shutil.rmtree(target, ignore_errors=True)
    source = next((other / DIRECTORY for other in others if _is_new(other)), None)
    if source is not None:
        shutil.copytree(source, target, symlinks=True)
    else:
        npm_install(target, *(f"{package}@{MAJOR}" for package in PACKAGES))
        _strip(target)
    shutil.copy(NODE_PATH_PROGRAM, directory)
    for name in SHOWN:
        link = directory / "node_modules" / name
        link.unlink(missing_ok=True)
        link.symlink_to(Path("..", DIRECTORY, "node_modules", name))


def _is_new(directory: Path) -> bool:
    return has_aws_sdk(directory) and time.time() - (directory / DIRECTORY).stat().st_mtime < NEW_SECONDS


def _strip(target: Path) -> None:
    """Take away what Node.js never reads: two thirds of it."""
    for name in FOR_BUNDLERS:
        for found in list(target.rglob(name)):
            shutil.rmtree(found, ignore_errors=True)
    for pattern in FOR_PEOPLE:
        for found in list(target.rglob(pattern)):
            found.unlink(missing_ok=True)
