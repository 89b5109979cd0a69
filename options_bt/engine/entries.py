"""The kernel's entry points for `native.py`: what numba makes machine code of. The only module that compiles."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import cfunc, from_dtype, types
from numba.core import cgutils as untyped_cgutils
from numba.extending import intrinsic
from numba.np import arrayobj as untyped_arrayobj

from options_bt.data.market.market import ACTION, DAY, GROUP, IMPLIED, QUOTE, Chain
from options_bt.engine.compiling import OPTIONS
from options_bt.engine.kernel import simulate
from options_bt.engine.measures import measure
from options_bt.engine.metrics import METRICS
from options_bt.engine.native import Entry
from options_bt.engine.records import ARM, LEG, OPEN, POSITION, RULES, STATE, Arms

cgutils: Any = untyped_cgutils
arrayobj: Any = untyped_arrayobj


def _array_at(context: Any, pointer: Any, shape: Any) -> Any:
    """Return the array that lies at an address; `numba.carray` would count its references."""
    lengths = shape.count if isinstance(shape, types.UniTuple) else 1
    array = types.Array(pointer.dtype, lengths, "C")

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data, dimensions = arguments
        dimensions = cgutils.unpack_tuple(builder, dimensions) if isinstance(shape, types.UniTuple) else [dimensions]
        made = arrayobj.make_array(array)(context, builder)
        itemsize = context.get_constant(types.intp, context.get_abi_sizeof(context.get_data_type(pointer.dtype)))
        strides = [itemsize]
        for length in reversed(dimensions[1:]):
            strides.insert(0, builder.mul(strides[0], length))
        at = builder.bitcast(data, made.data.type)
        arrayobj.populate_array(made, data=at, shape=dimensions, strides=strides, itemsize=itemsize, meminfo=None)
        return made._getvalue()

    return array(pointer, shape), code


array_at: Any = intrinsic(_array_at)


def _simulate(
    days: Any,
    n_days: int,
    groups: Any,
    n_groups: int,
    quotes: Any,
    n_quotes: int,
    implied: Any,
    n_implied: int,
    actions: Any,
    n_actions: int,
    jobs: Any,
    n_jobs: int,
    arms: Any,
    n_arms: int,
    legs: Any,
    n_legs: int,
    arm_today: Any,
    calendars: int,
    today: int,
    first: int,
    states: Any,
    book: Any,
    places: int,
    positions: Any,
    equity: Any,
    open_positions: Any,
    margin: Any,
) -> None:
    chain = Chain(
        array_at(days, n_days),
        array_at(groups, n_groups),
        array_at(quotes, n_quotes),
        array_at(implied, n_implied),
        array_at(actions, n_actions),
    )
    simulate(
        chain,
        array_at(jobs, n_jobs),
        Arms(array_at(arms, n_arms), array_at(legs, n_legs)),
        array_at(arm_today, (calendars, today)),
        first,
        array_at(states, n_jobs),
        array_at(book, places),
        array_at(positions, today),
        array_at(equity, (n_jobs, today)),
        array_at(open_positions, today),
        array_at(margin, today),
    )


def _measure(
    states: Any, jobs: Any, n_jobs: int, equity: Any, days: int, span: int, returns: Any, metrics: Any
) -> None:
    measure(
        array_at(states, n_jobs),
        array_at(jobs, n_jobs),
        array_at(equity, (n_jobs, days)),
        span,
        array_at(returns, days),
        array_at(metrics, (n_jobs, len(METRICS))),
    )


def _at(dtype: Any) -> Any:
    pointer: Any = types.CPointer
    return pointer(from_dtype(np.dtype(dtype)))


_COUNT = types.int64
_FLOATS, _INTS = _at(np.float64), _at(np.int64)
_SIMULATE = types.void(
    *(part for dtype in (DAY, GROUP, QUOTE, IMPLIED, ACTION, RULES, ARM, LEG) for part in (_at(dtype), _COUNT)),
    *(_INTS, _COUNT, _COUNT, _COUNT, _at(STATE), _at(OPEN), _COUNT),
    *(_at(POSITION), _FLOATS, _at(np.int32), _FLOATS),
)
_MEASURE = types.void(_at(STATE), _at(RULES), _COUNT, _FLOATS, _COUNT, _COUNT, _FLOATS, _FLOATS)


def entries() -> dict[str, Entry]:
    """Compile; return the entry points by what they do."""
    return {"simulate": _entry(_SIMULATE, _simulate), "measure": _entry(_MEASURE, _measure)}


def _entry(signature: Any, function: Any) -> Entry:
    compiled: Any = cfunc(signature, **OPTIONS)(function)
    return Entry(compiled._wrapper_name, compiled._library._get_compiled_object())
