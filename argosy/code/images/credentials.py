"""Who we are to a registry: from Docker's (or Podman's) configuration, its helpers, or AWS for ECR."""

import base64
import binascii
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from argosy.code.images import BuildError
from argosy.code.images.reference import DOCKER_HUB

_HUB_KEY = "https://index.docker.io/v1/"
_ECR = re.compile(r"(\d{12})\.dkr\.ecr(?:-fips)?\.([a-z0-9-]+)\.amazonaws\.com(?:\.cn)?")
_HELPER_SECONDS = 60


@dataclass(frozen=True)
class Credential:
    """A user and a password, or a token that stands for both; `source` says where they come from."""

    user: str
    secret: str = field(repr=False)
    source: str
    is_token: bool = False

    @property
    def basic(self) -> str:
        """The value of an `Authorization` header."""
        return "Basic " + base64.b64encode(f"{self.user}:{self.secret}".encode()).decode()


def credential_for(host: str) -> Credential | None:
    """The credential for a registry, or None: then it is asked as nobody.

    Raises:
        BuildError: a configuration cannot be read, or a helper or AWS fails.
    """
    keys = (_HUB_KEY, "index.docker.io", DOCKER_HUB) if host == DOCKER_HUB else (host, f"https://{host}")
    for file, config in _configurations():
        for key in keys:
            if found := _from_config(file, config, key):
                return found
    return _from_ecr(host) if _ECR.fullmatch(host) else None


def _configurations() -> Iterator[tuple[Path, Mapping[str, Any]]]:
    folder = Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker")
    candidates = [folder / "config.json"]
    if named := os.environ.get("REGISTRY_AUTH_FILE"):
        candidates.insert(0, Path(named))
    if runtime := os.environ.get("XDG_RUNTIME_DIR"):
        candidates.append(Path(runtime) / "containers" / "auth.json")
    for file in candidates:
        try:
            content = json.loads(file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            continue
        except (OSError, ValueError) as error:
            raise BuildError(f"cannot read the credentials in '{file}': {error}") from None
        if isinstance(content, dict):
            yield file, content


def _from_config(file: Path, config: Mapping[str, Any], key: str) -> Credential | None:
    helper = (config.get("credHelpers") or {}).get(key)
    if helper:
        return _from_helper(helper, key)
    entry = (config.get("auths") or {}).get(key)
    if entry and (entry.get("auth") or entry.get("identitytoken")):
        return _from_entry(file, entry, key)
    if store := config.get("credsStore"):
        return _from_helper(store, key)
    return None


def _from_entry(file: Path, entry: Mapping[str, Any], key: str) -> Credential:
    try:
        user, colon, secret = base64.b64decode(entry.get("auth", ""), validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        raise BuildError(f"{file}: the entry for '{key}' is not readable; log in again") from None
    if token := entry.get("identitytoken"):
        return Credential(user or "<token>", token, str(file), is_token=True)
    if not colon:
        raise BuildError(f"{file}: the entry for '{key}' has no password; log in again")
    return Credential(user, secret, str(file))


def _from_helper(name: str, key: str) -> Credential | None:
    program = f"docker-credential-{name}"
    if shutil.which(program) is None:
        raise BuildError(f"Docker's configuration asks '{program}' for '{key}', and there is no such program")
    try:
        done = subprocess.run(
            [program, "get"], input=key, capture_output=True, text=True, timeout=_HELPER_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BuildError(f"{program} gave no credential for '{key}': {error}") from None
    said = " ".join((done.stdout + " " + done.stderr).split())
    if done.returncode:
        if "not found" in said:
            return None
        raise BuildError(f"{program} gave no credential for '{key}': {said}")
    try:
        answer = json.loads(done.stdout)
        user, secret = answer["Username"], answer["Secret"]
    except (ValueError, KeyError, TypeError):
        raise BuildError(f"{program} answered for '{key}' with what is no credential") from None
    return Credential(user, secret, program, is_token=user == "<token>")


def _from_ecr(host: str) -> Credential:
    match = _ECR.fullmatch(host)
    assert match
    try:
        import boto3  # type: ignore[import-untyped, unused-ignore]
        from botocore.exceptions import (  # type: ignore[import-untyped, unused-ignore]
            BotoCoreError,
            ClientError,
        )
    except ImportError:
        raise BuildError(
            f"'{host}' is ECR's: 'pip install boto3' logs in, or 'docker login {host}'"
        ) from None
    try:
        client = boto3.client("ecr", region_name=match[2])
        answer = client.get_authorization_token(registryIds=[match[1]])
        token = base64.b64decode(answer["authorizationData"][0]["authorizationToken"]).decode()
    except (BotoCoreError, ClientError) as error:
        raise BuildError(f"AWS gives no login for '{host}': {' '.join(str(error).split())}") from None
    user, _, secret = token.partition(":")
    return Credential(user, secret, "AWS")
