"""The AWS services that `lightswitch up --with-local-aws` brings along: moto's server (as
`deploy/local_aws_server.py` completes it), on loopback.

What it holds is in memory and ends with it. It checks no signature, so any keys do; the gateway does check
them, and so functions get a pair of their own that the gateway knows.
"""

from __future__ import annotations

import http.client
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec

from deploy.child import ChildSpec
from deploy.credentials import Credentials, new_credentials
from deploy.data_dir import DataDir
from deploy.errors import DeployError
from deploy.ports import free_port

HOST = "127.0.0.1"
SERVICES = ("S3", "SQS", "SNS", "DYNAMODB", "DYNAMODB_STREAMS", "EVENTBRIDGE", "STS")
"""Services as boto3's `AWS_ENDPOINT_URL_*` variables call them."""

FOREIGN_VARIABLES = ("AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_DEFAULT_PROFILE")
"""What would make AWS's tools sign with something else."""


@dataclass(frozen=True, slots=True)
class LocalAws:
    """Where it listens, and the keys that functions sign with: for it and for the gateway."""

    port: int
    keys: Credentials

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    def environ(self, region: str) -> dict[str, str]:
        """What the platform's processes get, and through them the functions."""
        return {
            **endpoint_variables(self.url),
            "AWS_ACCESS_KEY_ID": self.keys.access_key_id,
            "AWS_SECRET_ACCESS_KEY": self.keys.secret_access_key,
            "AWS_DEFAULT_REGION": region,
            "AWS_REGION": region,
            "LIGHTSWITCH_FUNCTION_ACCESS_KEY_ID": self.keys.access_key_id,
            "LIGHTSWITCH_FUNCTION_SECRET_ACCESS_KEY": self.keys.secret_access_key,
        }

    def answers(self) -> bool:
        """Whether it serves by now. Blocks for a second at most."""
        connection = http.client.HTTPConnection(HOST, self.port, timeout=1)
        try:
            connection.request("GET", "/moto-api/data.json")
            return connection.getresponse().status == http.client.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()


def endpoint_variables(url: str) -> dict[str, str]:
    """`AWS_ENDPOINT_URL_*` of all services; nothing for an empty URL."""
    return {f"AWS_ENDPOINT_URL_{service}": url for service in SERVICES} if url else {}


def new_local_aws(port: int = 0) -> LocalAws:
    """One that may be started: on a free port for 0, with new keys. Raises DeployError."""
    if find_spec("moto") is None or find_spec("flask") is None:
        raise DeployError("--with-local-aws needs moto's server: pip install 'lightswitch[local]'")
    return LocalAws(free_port(HOST, port), new_credentials())


def local_aws_child(
    local: LocalAws, data_dir: DataDir, account_id: str, environ: Mapping[str, str] = os.environ
) -> ChildSpec:
    """The process. It comes back empty if it ends."""
    return ChildSpec(
        "local-aws",
        (sys.executable, "-P", "-m", "deploy.local_aws_server", HOST, str(local.port)),
        data_dir.logs / "local-aws.log",
        {**environ, "MOTO_ACCOUNT_ID": account_id},
        stop_within_seconds=5.0,
    )
