"""Asking the processor for a record before it is needed: a backtest mostly waits for quotes that no cache holds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils as untyped_cgutils
from numba.extending import intrinsic, overload
from numba.np import arrayobj as untyped_arrayobj

from options_bt.engine.compiling import OPTIONS
from options_bt.engine.records import Records

cgutils: Any = untyped_cgutils
arrayobj: Any = untyped_arrayobj

_READ, _KEEP, _DATA = 0, 3, 1
"""What LLVM's prefetch is told: to read, to keep in every cache, and that it is no code."""


def fetch(records: Records, row: int) -> None:
    """Have a record brought into a processor's cache meanwhile; a number without a record does nothing."""


def _fetched(context: Any, records: Any, row: Any) -> Any:
    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = arrayobj.make_array(records)(context, builder, arguments[0]).data
        number, byte = ir.IntType(32), ir.IntType(8).as_pointer()
        takes = ir.FunctionType(ir.VoidType(), [byte, number, number, number])
        prefetch = cgutils.get_or_insert_function(builder.module, takes, "llvm.prefetch.p0i8")
        at = builder.bitcast(builder.gep(data, [arguments[1]]), byte)
        builder.call(prefetch, [at, number(_READ), number(_KEEP), number(_DATA)])
        return context.get_dummy_value()

    return types.void(records, types.intp), code


_intrinsic: Any = intrinsic(_fetched)


_OPTIONS: Any = OPTIONS | {"forceinline": True}


@overload(fetch, jit_options=_OPTIONS)
def _compiled(records: Any, row: Any) -> Callable[[Any, Any], None]:
    def compiled(records: Any, row: Any) -> None:
        _intrinsic(records, row)

    return compiled
