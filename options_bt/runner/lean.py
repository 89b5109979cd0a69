"""What the processes of the command line do without, since nothing in them asks for it."""

from __future__ import annotations

import sys


def without_blas() -> None:
    """Keep numba from importing scipy, where it is installed, to look for a BLAS: a tenth of a second.

    Only for a process of our own: functions that others compile in it could not multiply matrices.
    """
    sys.modules.setdefault("scipy.linalg.cython_blas", None)  # type: ignore[arg-type]  # None: cannot be imported
