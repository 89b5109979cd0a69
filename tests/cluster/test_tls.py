"""A cluster whose connections are secured with certificates."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from options_bt.analysis.compare import compare
from options_bt.analysis.run_reader import open_run
from tests.cluster.machines import PROGRAM, machines, require_ci
from tests.small_run import SmallRun

pytestmark = pytest.mark.slow


def made_certificate(folder: Path, name: str) -> tuple[Path, Path]:
    """Return a certificate that is its own authority, and its key."""
    cert, key = folder / f"{name}.pem", folder / f"{name}.key"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}"]
    subprocess.run([*command, "-keyout", key, "-out", cert], check=True, capture_output=True)
    return cert, key


def test_only_who_has_the_certificate_may_run(small_run: SmallRun, tmp_path: Path) -> None:
    require_ci()
    cert, key = made_certificate(tmp_path, "ours")
    other_cert, other_key = made_certificate(tmp_path, "others")
    tls = ["--tls-ca-file", str(cert), "--tls-cert", str(cert), "--tls-key", str(key)]
    with machines([2, 11], tmp_path) as (head, machine):
        head.start_scheduler("--protocol", "tls", *tls)
        scheduler = f"tls://{head.address}:8786"
        machine.start_worker(scheduler, *tls)
        command = [PROGRAM, "run", small_run.jobfile, "--quick", "--cache", small_run.cache, "--runs", tmp_path]
        command += ["--executor", "dask", "--scheduler", scheduler]

        def run(*files: Path) -> subprocess.CompletedProcess[str]:
            names = ("--tls-ca-file", "--tls-cert", "--tls-key")
            given = [word for pair in zip(names, files, strict=True) for word in pair] if files else []
            return subprocess.run(
                [*map(str, command), *map(str, given)], capture_output=True, text=True, timeout=120, check=False
            )

        for files in ((), (other_cert, other_cert, other_key)):
            refused = run(*files)
            assert refused.returncode == 2, refused.stdout
            assert f"no Dask scheduler answers at {scheduler}" in refused.stderr
            assert "Traceback" not in refused.stderr
        done = run(cert, cert, key)
        assert done.returncode == 0, done.stdout + done.stderr
    assert compare(open_run(tmp_path / "small-quick"), open_run(small_run.path)).equal
