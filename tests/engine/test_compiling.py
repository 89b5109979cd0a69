"""How the engine is compiled, and where its machine code is kept."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import options_bt
from options_bt.analysis.compare import compare
from options_bt.analysis.run_reader import open_run
from options_bt.engine.account import equity_metrics
from options_bt.engine.compiling import is_compiled, warm_up
from tests.small_run import SmallRun

pytestmark = pytest.mark.slow

PACKAGE = Path(options_bt.__file__).parent
WHERE = "from options_bt.engine.machine_code import cache_folder; print(cache_folder())"
ASKED = "import sys; from options_bt.engine.compiling import is_compiled; print(is_compiled(), 'numba' in sys.modules)"
DOUBLED = """\
import numpy as np
from options_bt.engine.jit import array_of, entry_point
@entry_point(array_of(np.float64))
def double(values):
    for number in range(len(values)):
        values[number] *= 2
values = np.array([1.5])
double(values)
print(values[0])
"""
METRICS = """\
import numpy as np
from options_bt.engine.account import equity_metrics
print(equity_metrics(np.array([100.0, 120.0, 90.0, 110.0]), 2, 400, 100.0, 0.01).tolist())
"""
WITHOUT_THE_OPTION = """\
import numba
njit = numba.njit
def refusing(*arguments, **options):
    if "_nrt" in options:
        raise KeyError("Unrecognized options: {'_nrt'}.")
    return njit(*arguments, **options)
numba.njit = refusing
"""


class Machine:
    """A copy of the package in a folder, and programs that use it there with no settings of this process."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.package = folder, folder / "installed" / "options_bt"
        shutil.copytree(PACKAGE, self.package, ignore=shutil.ignore_patterns("__pycache__"))
        self.here = folder / "here"
        self.here.mkdir()

    def run(self, code: str, **settings: str) -> tuple[str, str]:
        """Run a program; return what it prints, and its log."""
        program = self.here / "program.py"
        program.write_text(code)
        foreign = ("NUMBA", "XDG", "OPTIONS_BT")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
        home = str(self.folder / "home")
        own = {"PYTHONPATH": str(self.package.parent), "PYTHONDONTWRITEBYTECODE": "1", "HOME": home}
        command = [sys.executable, str(program)]
        done = subprocess.run(command, cwd=self.here, env=kept | own | settings, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip(), done.stderr

    def place(self, **settings: str) -> Path:
        """Return the folder above that of the machine code."""
        return (self.here / self.run(WHERE, **settings)[0]).parent

    def block(self, *names: str) -> None:
        """Put files where folders would be: nothing can be written there, whoever asks."""
        for name in names:
            (self.folder / name).touch()


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


BESIDE = "installed/options_bt/engine/__pycache__"


def test_machine_code_lies_beside_the_sources_unless_numba_is_told_where(machine: Machine) -> None:
    assert machine.place() == machine.folder / BESIDE
    assert machine.place(NUMBA_CACHE_DIR=str(machine.folder / "numba")) == machine.folder / "numba"


def test_a_folder_that_cannot_be_written_is_passed_over(machine: Machine) -> None:
    machine.block("file")
    assert machine.place(NUMBA_CACHE_DIR=str(machine.folder / "file")) == machine.folder / BESIDE
    assert machine.place(NUMBA_CACHE_DIR="/proc/none") == machine.folder / BESIDE


def test_a_package_of_another_user_has_its_machine_code_in_ones_own_cache(machine: Machine) -> None:
    machine.block(BESIDE)
    assert machine.place() == machine.folder / "home/.cache/options-bt"
    assert machine.place(XDG_CACHE_HOME=str(machine.folder / "xdg")) == machine.folder / "xdg/options-bt"


def test_without_a_home_it_lies_with_the_data(machine: Machine) -> None:
    machine.block(BESIDE, "home")
    assert machine.place() == machine.here / "cache"
    assert machine.place(OPTIONS_BT_CACHE=str(machine.folder / "data")) == machine.folder / "data"


def test_nobody_else_may_write_there(machine: Machine) -> None:
    machine.run(f"import os; os.umask(0); {WHERE}")
    (folder,) = (machine.folder / BESIDE).iterdir()
    assert folder.stat().st_mode & 0o777 == 0o700


def test_where_nothing_can_be_written_each_process_compiles_and_says_so(machine: Machine) -> None:
    machine.block(BESIDE, "home", "here/cache")
    printed, log = machine.run(DOUBLED, NUMBA_CACHE_DIR="/proc/none")
    assert printed == "3.0"
    assert log.count("set NUMBA_CACHE_DIR to a folder that can be written") == 1


def test_machine_code_is_kept_and_loaded(machine: Machine) -> None:
    for _ in range(2):
        assert machine.run(DOUBLED) == ("3.0", "")
    assert len(list((machine.folder / BESIDE).rglob("*.nbc"))) == 1


@pytest.mark.parametrize(("kind", "left"), [("nbi", 0), ("nbc", 20)])
def test_a_damaged_file_is_replaced(machine: Machine, kind: str, left: int) -> None:
    machine.run(DOUBLED)
    (path,) = (machine.folder / BESIDE).rglob(f"*.{kind}")
    whole = path.read_bytes()
    path.write_bytes(whole[:left])
    printed, log = machine.run(DOUBLED)
    assert (printed, "it is compiled again" in log) == ("3.0", True)
    assert machine.run(DOUBLED) == ("3.0", "")


def test_another_source_is_other_machine_code(machine: Machine) -> None:
    before = machine.run(WHERE)
    legs = machine.package / "engine/legs.py"
    legs.write_text(legs.read_text().replace("0.2 * close", "0.3 * close"))
    assert machine.run(WHERE) != before


@pytest.mark.parametrize("setting", [{"NUMBA_OPT": "1"}, {"NUMBA_CPU_NAME": "generic"}, {"NUMBA_BOUNDSCHECK": "1"}])
def test_settings_of_numba_are_of_one_process_alone(machine: Machine, setting: dict[str, str]) -> None:
    assert machine.run(WHERE, **setting) != machine.run(WHERE)
    assert machine.run(DOUBLED, **setting) == machine.run(DOUBLED) == ("3.0", "")


def test_how_many_threads_there_are_is_no_matter(machine: Machine) -> None:
    assert machine.run(WHERE, NUMBA_NUM_THREADS="1") == machine.run(WHERE)


def test_whether_it_is_compiled_is_told_without_numba(machine: Machine) -> None:
    assert machine.run(ASKED)[0] == "False False"
    assert machine.run(ASKED, NUMBA_DISABLE_JIT="1")[0] == "True False"
    warm_up()
    assert is_compiled()


def test_a_numba_without_the_private_option_gives_the_same(machine: Machine) -> None:
    expected = equity_metrics(np.array([100.0, 120.0, 90.0, 110.0]), 2, 400, 100.0, 0.01).tolist()
    assert machine.run(WITHOUT_THE_OPTION + METRICS) == (str(expected), "")


def test_plain_python_gives_what_the_machine_code_gives(small_run: SmallRun, tmp_path: Path) -> None:
    command = [
        str(Path(sys.executable).with_name("options-bt")),
        "run",
        str(small_run.jobfile),
        "--quick",
        "--runs",
        str(tmp_path),
    ]
    environment = os.environ | {"NUMBA_DISABLE_JIT": "1"}
    done = subprocess.run([*command, "--cache", str(small_run.cache)], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert compare(open_run(small_run.path), open_run(tmp_path / small_run.path.name)).equal
