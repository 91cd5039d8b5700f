"""The library that Python functions find: boto3 with what it needs, the hooks of SnapStart, nothing else."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from worker.runtimes.library import prepare_library

EXPECTED = {
    *("bootstrap.py", "_lightswitch_runtime"),
    *("boto3", "botocore", "s3transfer", "jmespath", "dateutil", "six.py", "urllib3"),
    "snapshot_restore_py.py",
}


def test_it_holds_exactly_what_lambda_has(tmp_path: Path) -> None:
    library = prepare_library(tmp_path)

    names = {path.name for path in library.iterdir()}
    assert {name for name in names if not name.endswith(".dist-info")} - {"__pycache__"} == EXPECTED


def test_boto3_works_from_it_alone(tmp_path: Path) -> None:
    prepare_library(tmp_path)
    script = (
        f"import sys; sys.path.append({str(tmp_path / 'current')!r})\n"
        "import boto3; print(boto3.client('s3', region_name='eu-west-1', aws_access_key_id='a',"
        " aws_secret_access_key='b').meta.endpoint_url)"
    )

    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", script], capture_output=True, text=True, check=True, env={}
    )

    assert done.stdout.strip() == "https://s3.eu-west-1.amazonaws.com"


def test_workers_that_prepare_it_at_once_do_not_meet(tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        libraries = set(pool.map(prepare_library, [tmp_path] * 4))

    assert len(libraries) == 1
    assert {path.name for path in tmp_path.iterdir()} == {"current", libraries.pop().name}


def test_every_user_may_read_it(tmp_path: Path) -> None:
    library = prepare_library(tmp_path)

    assert [path for path in library.rglob("*") if not path.stat().st_mode & 0o004] == []
