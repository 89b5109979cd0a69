"""Without the extra, the person is told what to install."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.small_run import SmallRun

WITHOUT = """\
import sys
sys.modules[{package!r}] = None
from options_bt.cli import main
main()
"""


@pytest.mark.parametrize("package", ["arch", "scipy"])
def test_without_the_extra_the_command_says_how_to_get_it(small_run: SmallRun, tmp_path: Path, package: str) -> None:
    # None in sys.modules makes an import fail as that of a package which is not there.
    script = tmp_path / "without.py"
    script.write_text(WITHOUT.format(package=package))
    command = [sys.executable, str(script), "overfitting", str(small_run.path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert f"need the package {package}, which is not installed: pip install 'options-bt[report]'" in done.stderr


def test_the_other_commands_do_without_it(small_run: SmallRun, tmp_path: Path) -> None:
    script = tmp_path / "without.py"
    script.write_text("import sys\nsys.modules['scipy'] = None\n" + WITHOUT.format(package="arch"))
    command = [sys.executable, str(script), "results", str(small_run.path)]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0
