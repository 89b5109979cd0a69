"""An S3 bucket on this machine: moto's server, told to look at keys and signatures."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import botocore.session
import fsspec
import pytest

from tests.cluster.machines import until

ALL_OF_S3 = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}


class Bucket(NamedTuple):
    """A bucket, and the variables that a worker reads it with."""

    name: str
    variables: dict[str, str]

    @property
    def secrets(self) -> list[str]:
        return [self.variables["AWS_ACCESS_KEY_ID"], self.variables["AWS_SECRET_ACCESS_KEY"]]

    def put(self, folder: Path, path: str) -> None:
        self._filesystem().put(f"{folder}/", f"{self.name}/{path}/", recursive=True)

    def make(self) -> None:
        self._filesystem().mkdir(self.name)

    def _filesystem(self) -> Any:
        key, secret = self.secrets
        return fsspec.filesystem("s3", key=key, secret=secret, endpoint_url=self.variables["AWS_ENDPOINT_URL"])


@contextmanager
def bucket_at(folder: Path) -> Iterator[Bucket]:
    """Yield an empty bucket; its server keeps it in memory."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = "127.0.0.1", port
    # The three actions before keys are asked for are those that make a user.
    variables = os.environ | {"INITIAL_NO_AUTH_ACTION_COUNT": "3"}
    with (folder / "bucket.log").open("wb") as log:
        command = [_program(), "--host", address[0], "--port", str(port)]
        server = subprocess.Popen(command, env=variables, stdout=log, stderr=log)
    try:
        until(lambda: _answers(address), "the server of the bucket answers")
        made = Bucket("bucket", _keys(f"http://127.0.0.1:{port}"))
        made.make()
        yield made
    finally:
        server.kill()
        server.wait()


def _program() -> str:
    program = os.environ.get("OPTIONS_BT_MOTO")
    if program is None:
        reason = (
            "OPTIONS_BT_MOTO names no moto_server: pip install 'moto[s3]' flask flask-cors, in an environment apart"
        )
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return program


def _keys(endpoint: str) -> dict[str, str]:
    made: Any = botocore.session.Session().create_client(
        "iam", "us-east-1", endpoint_url=endpoint, aws_access_key_id="none", aws_secret_access_key="none"
    )
    made.create_user(UserName="worker")
    made.put_user_policy(UserName="worker", PolicyName="read", PolicyDocument=json.dumps(ALL_OF_S3))
    key = made.create_access_key(UserName="worker")["AccessKey"]
    return {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": key["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"],
    }


def _answers(address: tuple[str, int]) -> bool:
    with suppress(OSError), socket.create_connection(address, timeout=1):
        return True
    return False
