"""Where a run happens when nothing else is said: on this machine."""

from __future__ import annotations

from options_bt.runner.executor import Executor
from options_bt.runner.inline import Inline
from options_bt.runner.slots import Slots


def local_executor(workers: int) -> Executor:
    """Give what runs batches here: with one worker this process, else as many processes."""
    return Inline() if workers == 1 else Slots(workers)
