"""Asking the processor for a quote before it is needed."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils as untyped_cgutils
from numba.extending import intrinsic, overload
from numba.np import arrayobj as untyped_arrayobj

cgutils: Any = untyped_cgutils
arrayobj: Any = untyped_arrayobj

from options_bt.engine.records import Records

def fetch(records: Records, row: int) -> None:
    """Have a processor bring a record into its cache, if it can; it is no error where there is no such record."""


def _fetched(context: Any, records: Any, row: Any) -> Any:
    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = arrayobj.make_array(signature.args[0])(context, builder, arguments[0]).data
        number, byte = ir.IntType(32), ir.IntType(8).as_pointer()
        kind = ir.FunctionType(ir.VoidType(), [byte, number, number, number])
        prefetch = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0i8")
        at = builder.bitcast(builder.gep(data, [arguments[1]]), byte)
        builder.call(prefetch, [at, number(0), number(3), number(1)])
        return context.get_dummy_value()

    return types.void(records, types.intp), code

_do_fetch: Any = intrinsic(_fetched)

@overload(fetch, jit_options={"forceinline": True, "_nrt": False})
def _overloaded(records, row):
    def f(records, row):
        _do_fetch(records, row)
    return f
