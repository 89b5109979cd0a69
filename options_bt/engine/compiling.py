"""How the kernel and its parts are compiled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from numba import njit

_Function = TypeVar("_Function", bound=Callable[..., Any])

# Numba would count the references of each array that a part touches, which costs more than the work of a held day; the
# kernel makes and gives back no array, so that there is nothing to count. Nor does it divide where it must not.
OPTIONS: dict[str, Any] = {"_nrt": False, "error_model": "numpy"}


def kernel_part(function: _Function) -> _Function:
    """Compile a part of the kernel into those that call it."""
    compiled: _Function = njit(forceinline=True, **OPTIONS)(function)
    return compiled
