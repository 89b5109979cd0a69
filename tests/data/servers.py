"""Database servers for tests: started on a free port of 127.0.0.1 with files of their own, stopped by their process."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import mysql.connector
import pytest

START_SECONDS = 60
DOLT_CONFIG = """
data_dir: {folder}/clones
listener:
  host: 127.0.0.1
  port: {port}
  socket: {folder}/socket
  tls_key: {folder}/key.pem
  tls_cert: {folder}/certificate.pem
"""
CERTIFICATE = [
    *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"),
    *("-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"),
]


@dataclass(frozen=True)
class Server:
    """A running server whose user `root` has no password.

    Dolt encrypts, with a certificate in the file `certificate`; MariaDB does not.
    """

    kind: str
    port: int
    folder: Path

    @property
    def socket(self) -> Path:
        return self.folder / "socket"

    @property
    def certificate(self) -> Path:
        return self.folder / "certificate.pem"

    @contextmanager
    def connected(self, database: str | None = None) -> Iterator[Any]:
        connection = mysql.connector.connect(
            host="127.0.0.1",
            port=self.port,
            user="root",
            password="",
            database=database,
            collation="utf8mb4_general_ci",
            autocommit=True,
        )
        try:
            yield connection
        finally:
            connection.close()

    def execute(self, *statements: str, database: str | None = None) -> list[Any]:
        """Run the statements and return the rows of the last one."""
        rows: list[Any] = []
        with self.connected(database) as connection:
            for statement in statements:
                with connection.cursor() as cursor:
                    cursor.execute(statement)
                    rows = cursor.fetchall() if cursor.description else []
        return rows

    def insert(self, database: str, table: str, rows: Sequence[Sequence[object]]) -> None:
        marks = ", ".join(["%s"] * len(rows[0]))
        with self.connected(database) as connection, connection.cursor() as cursor:
            for start in range(0, len(rows), 5000):
                cursor.executemany(f"INSERT INTO `{table}` VALUES ({marks})", rows[start : start + 5000])


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def mariadb() -> Iterator[Server]:
    """Yield a MariaDB server; skip the test without one, but fail in CI, where it must be installed."""
    program = _needed("mariadbd", "on Debian and Ubuntu: apt-get install mariadb-server")
    with TemporaryDirectory(prefix="mariadb-") as folder:
        data, port = Path(folder) / "data", free_port()
        user = ["--user=root"] if getpass.getuser() == "root" else []
        install = ["mariadb-install-db", "--no-defaults", f"--datadir={data}", "--skip-test-db"]
        subprocess.run([*install, "--auth-root-authentication-method=normal", *user], check=True)
        start = [program, "--no-defaults", f"--datadir={data}", f"--port={port}", "--bind-address=127.0.0.1"]
        with _running("mariadb", port, [*start, f"--socket={folder}/socket", *user], Path(folder)) as server:
            yield server


@contextmanager
def dolt() -> Iterator[Server]:
    """Yield a Dolt server; skip the test without one, but fail in CI, which builds it."""
    program = _needed("dolt", "see https://docs.dolthub.com/introduction/installation, or build it as .ci/run does")
    with TemporaryDirectory(prefix="dolt-") as folder:
        port = free_port()
        (Path(folder) / "clones").mkdir()
        (Path(folder) / "server.yaml").write_text(DOLT_CONFIG.format(folder=folder, port=port))
        files = ["-keyout", f"{folder}/key.pem", "-out", f"{folder}/certificate.pem"]
        subprocess.run([*CERTIFICATE, *files], check=True, capture_output=True)
        start = [program, "sql-server", f"--config={folder}/server.yaml"]
        environment = os.environ | {"HOME": folder, "DOLT_ROOT_PATH": folder, "DOLT_DISABLE_EVENT_FLUSH": "true"}
        for key, value in {"user.name": "test", "user.email": "test@localhost", "metrics.disabled": "true"}.items():
            command = [program, "config", "--global", "--add", key, value]
            subprocess.run(command, check=True, capture_output=True, env=environment)
        with _running("dolt", port, start, Path(folder), environment) as server:
            yield server


SERVERS: dict[str, Callable[[], Any]] = {"mariadb": mariadb, "dolt": dolt}


def _needed(program: str, advice: str) -> str:
    path = shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin")  # where Debian has mariadbd
    if path is None:
        reason = f"{program} is not installed; {advice}"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return path


@contextmanager
def _running(
    kind: str, port: int, command: list[str], folder: Path, environment: dict[str, str] | None = None
) -> Iterator[Server]:
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, cwd=folder, env=environment)
    server = Server(kind, port, folder)
    try:
        _wait_for(server, process, log)
        yield server
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_for(server: Server, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            server.execute("SELECT 1")
            return
        except mysql.connector.Error as error:
            if process.poll() is not None or time.monotonic() > deadline:
                tail = log.read_text(errors="replace")[-2000:]
                raise RuntimeError(f"{server.kind} did not start on port {server.port}: {error}\n{tail}") from None
            time.sleep(0.1)
