"""Is the best backtest of a grid any good, or just the luckiest? docs/overfitting.md says what each number means."""

from __future__ import annotations

from options_bt.errors import MissingExtraError

try:
    # scipy and arch belong to an extra: whoever runs backtests only does without them.
    import scipy  # noqa: F401, I001  # only to see whether they are there, the other one's need first
    import arch  # noqa: F401
except ModuleNotFoundError as error:
    raise MissingExtraError("The overfitting statistics", str(error.name).partition(".")[0], "report") from None
