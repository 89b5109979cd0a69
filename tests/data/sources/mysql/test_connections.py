from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import mysql.connector
import pytest

from options_bt.data.sources.mysql.dolt import DoltSource
from options_bt.errors import SourceError
from tests.data.servers import SERVERS, Server, dolt, mariadb
from tests.data.sources.mysql.test_dolt import CHAIN_TABLE

pytestmark = pytest.mark.server

ONE_DAY = (date(2023, 1, 2), date(2023, 1, 2))


def prepared(server: Server) -> Server:
    server.execute("CREATE DATABASE options")
    row = "INSERT INTO option_chain (`date`, act_symbol, expiration, strike, call_put) VALUES "
    server.execute(CHAIN_TABLE, row + "('2023-01-02', 'A', '2023-02-17', 5, 'Put')", database="options")
    return server


@pytest.fixture(scope="module", params=SERVERS)
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with SERVERS[request.param]() as server:
        yield prepared(server)


@pytest.fixture(scope="module")
def encrypting() -> Iterator[Server]:
    with dolt() as server:
        yield prepared(server)


@pytest.fixture(scope="module")
def plain() -> Iterator[Server]:
    with mariadb() as server:
        yield prepared(server)


def rejection(text: str) -> str:
    with pytest.raises(SourceError) as raised:
        DoltSource(text).extent()
    return str(raised.value)


def test_a_unix_socket(server: Server) -> None:
    source = DoltSource(f"mysql://root@localhost?unix_socket={server.socket}")
    assert source.extent() == ONE_DAY
    assert source.label == f"database options at {server.socket}"
    assert source.name == f"mysql-{str(server.socket).strip('/').replace('/', '_')}-options"
    text = rejection("mysql://root@localhost?unix_socket=/nowhere/mysql.sock")
    assert (
        "/nowhere/mysql.sock: no server answers; start one with `dolt sql-server --socket /nowhere/mysql.sock`" in text
    )


@pytest.mark.parametrize("mode", ["disabled", "preferred"])
def test_without_encryption_if_need_be(server: Server, mode: str) -> None:
    assert DoltSource(f"mysql://root@127.0.0.1:{server.port}?ssl_mode={mode}").extent() == ONE_DAY


@pytest.mark.parametrize("mode", ["required", "verify_ca&ssl_ca=CA", "verify_identity&ssl_ca=CA"])
def test_encrypted_connections(encrypting: Server, mode: str) -> None:
    mode = mode.replace("CA", str(encrypting.certificate))
    assert DoltSource(f"mysql://root@localhost:{encrypting.port}?ssl_mode={mode}").extent() == ONE_DAY


@pytest.mark.parametrize("mode", ["required", "verify_ca&ssl_ca=CA", "verify_identity&ssl_ca=CA"])
def test_a_server_that_does_not_encrypt(plain: Server, mode: str, tmp_path: Path, encrypting: Server) -> None:
    shutil.copy(encrypting.certificate, tmp_path / "ca.pem")
    mode = mode.replace("CA", str(tmp_path / "ca.pem"))
    text = rejection(f"mysql://root@127.0.0.1:{plain.port}?ssl_mode={mode}")
    assert f"127.0.0.1:{plain.port}: no encrypted connection with ssl_mode={mode.partition('&')[0]}" in text


def test_required_encryption_where_the_compiled_class_does_not_say_it(
    encrypting: Server, plain: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    def without_cipher(**options: Any) -> Any:
        """Connect as a release of the connector whose compiled class no longer tells the cipher."""
        connection = connect(**options)
        return connection if options.get("use_pure") else Mock(spec=["close"])

    connect = mysql.connector.connect
    monkeypatch.setattr(mysql.connector, "connect", without_cipher)
    assert DoltSource(f"mysql://root@127.0.0.1:{encrypting.port}?ssl_mode=required").extent() == ONE_DAY
    assert "no encrypted connection" in rejection(f"mysql://root@127.0.0.1:{plain.port}?ssl_mode=required")


def test_a_certificate_that_is_not_of_the_authority(encrypting: Server, tmp_path: Path) -> None:
    with dolt() as other:
        shutil.copy(other.certificate, tmp_path / "ca.pem")
    text = rejection(f"mysql://root@localhost:{encrypting.port}?ssl_mode=verify_ca&ssl_ca={tmp_path}/ca.pem")
    assert "no encrypted connection with ssl_mode=verify_ca" in text and "certificate" in text


@pytest.mark.parametrize(
    ("query", "what"),
    [
        ("ssl_mode=always", "ssl_mode: got 'always', not one of preferred, disabled, required, verify_ca"),
        ("ssl_mode=verify_ca", "ssl_mode=verify_ca needs ssl_ca=PATH"),
        ("ssl_mode=verify_ca&ssl_ca=/nowhere.pem", "ssl_ca: there is no file /nowhere.pem"),
        ("unix_socket=relative.sock", "unix_socket: got 'relative.sock', not the absolute path of a socket"),
        ("sslmode=required", "unknown option 'sslmode' (did you mean 'ssl_mode'?); the options are options, stocks"),
    ],
)
def test_options_that_are_wrong(query: str, what: str) -> None:
    assert what in rejection(f"mysql://root@localhost?{query}")
