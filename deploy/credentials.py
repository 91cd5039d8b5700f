"""The key pair that signs calls to this installation: made at the first start, kept in the data directory."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec

from deploy.data_dir import DataDir, write_atomically
from deploy.errors import DeployError

ACCESS_KEY_VARIABLE = "LIGHTSWITCH_ACCESS_KEY_ID"
SECRET_VARIABLE = "LIGHTSWITCH_SECRET_ACCESS_KEY"

KEY_ID_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"


@dataclass(frozen=True, slots=True)
class Credentials:
    """An access key id and its secret, which no log and no repr shows."""

    access_key_id: str
    secret_access_key: str = field(repr=False)


def new_credentials() -> Credentials:
    """A fresh pair in AWS's format: 20 letters and digits, 40 characters of secret."""
    key_id = "LSIA" + "".join(secrets.choice(KEY_ID_LETTERS) for _ in range(16))
    return Credentials(key_id, secrets.token_urlsafe(30))


def find_credentials(data_dir: DataDir, environ: Mapping[str, str] = os.environ) -> Credentials | None:
    """Those of the environment, else those of the data directory. Raises DeployError for a broken file."""
    if environ.get(ACCESS_KEY_VARIABLE) and environ.get(SECRET_VARIABLE):
        return Credentials(environ[ACCESS_KEY_VARIABLE], environ[SECRET_VARIABLE])
    try:
        content = data_dir.credentials_file.read_bytes()
        return msgspec.json.decode(content, type=Credentials)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError) as error:
        raise DeployError(f"cannot read {data_dir.credentials_file}: {error}") from error


def ensure_credentials(data_dir: DataDir, environ: Mapping[str, str] = os.environ) -> Credentials:
    """Find credentials, or make and keep the first ones."""
    found = find_credentials(data_dir, environ)
    if found is not None:
        return found
    made = new_credentials()
    write_atomically(data_dir.credentials_file, msgspec.json.encode(made), mode=0o600)
    return made
