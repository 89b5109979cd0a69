"""The one door to numba: how the kernel, its parts and its arguments are compiled."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np

from options_bt.engine.machine_code import cache_folder

logger = logging.getLogger(__name__)

numba: Any = import_module("numba")  # its types know nothing of the private option below

_Function = TypeVar("_Function", bound=Callable[..., Any])


def kernel_part(function: _Function) -> _Function:
    """Compile a part of the kernel into those that call it, with their options."""
    return cast(_Function, numba.njit(forceinline=True)(function))


def array_of(dtype: Any, dimensions: int = 1, readonly: bool = False) -> Any:
    """Return numba's type of a contiguous array; a read-only one accepts every array."""
    return numba.types.Array(numba.from_dtype(np.dtype(dtype)), dimensions, "C", readonly=readonly)


def tuple_of(kind: type[Any], *dtypes: np.dtype[Any]) -> Any:
    """Return numba's type of a named tuple of read-only arrays."""
    return numba.types.NamedTuple([array_of(dtype, readonly=True) for dtype in dtypes], kind)


def entry_point(*arguments: Any) -> Callable[[_Function], _Function]:
    """Return a decorator that loads a function of these argument types, or compiles it with its parts.

    The function takes structured arrays. With ``NUMBA_DISABLE_JIT=1`` it runs as plain Python.
    """

    def decorate(function: _Function) -> _Function:
        if numba.config.DISABLE_JIT:
            return _interpreted(function)
        signature, folder = numba.types.void(*arguments), cache_folder()
        if folder is None:
            return _compiled(function, signature)
        # Numba by itself keeps machine code by the decorated function's file alone, and fails without a folder.
        before, numba.config.CACHE_DIR = numba.config.CACHE_DIR, str(folder)
        try:
            return _cached(function, signature, folder)
        finally:
            numba.config.CACHE_DIR = before

    return decorate


def _interpreted(function: _Function) -> _Function:
    """Return a function of recarrays as one of structured arrays, as silent about numbers as compiled code."""

    def interpreted(*arguments: Any) -> Any:
        with np.errstate(all="ignore"):
            return function(*map(_with_fields, arguments))

    return cast(_Function, interpreted)


def _with_fields(argument: Any) -> Any:
    """Return an argument with its structured arrays as recarrays, whose fields are attributes as in compiled code."""
    if isinstance(argument, tuple):
        return type(argument)(*map(_with_fields, argument))
    return argument.view(np.recarray) if isinstance(argument, np.ndarray) and argument.dtype.names else argument


def _cached(function: _Function, signature: Any, folder: Path) -> _Function:
    try:
        return _compiled(function, signature, cache=True)
    except OSError as error:  # the disk is full
        logger.warning("The compiled engine could not be kept in %s: %s", folder, error)
        return _compiled(function, signature)
    except Exception as error:  # numba unpickles what it reads, so a damaged file may raise anything
        logger.warning("The compiled engine in %s cannot be read (%r); it is compiled again", folder, error)
        shutil.rmtree(folder, ignore_errors=True)
        return _compiled(function, signature, cache=True)


def _compiled(function: _Function, signature: Any, **options: Any) -> _Function:
    options |= {"error_model": "numpy", "nogil": True}
    try:
        # Numba would count the references of each array that a part touches, which costs more than the work of a held
        # day. The kernel makes no array: there is nothing to count. The option is private, so it may be gone.
        return cast(_Function, numba.njit(signature, _nrt=False, **options)(function))
    except KeyError as error:
        if "_nrt" not in str(error):
            raise
        return cast(_Function, numba.njit(signature, **options)(function))
