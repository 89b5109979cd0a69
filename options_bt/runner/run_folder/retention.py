"""Which trades and equity a run still has to keep, by `run.keep` of its job file."""

from __future__ import annotations

import numpy as np

from options_bt.engine.metrics import METRICS
from options_bt.job.objectives import LOWER_IS_BETTER
from options_bt.job.planner import Plan
from options_bt.runner.run_folder.ledger import Ledger


def keeps_too_few(plan: Plan, ledger: Ledger) -> bool:
    """Return whether tables of fewer jobs are kept than the job file asks for."""
    wanted = min(plan.job.run.kept(len(plan)), ledger.counts()[0])
    return wanted > 0 and int(ledger.kept(len(plan)).sum()) < wanted


def best_without_tables(plan: Plan, ledger: Ledger) -> list[int]:
    """Return the positions of the jobs whose tables the job file asks for, and which are not kept.

    These are of the best by the objective that are done, as `analysis.ranking.ranked` has them: undefined values come
    last, ties in plan order.
    """
    wanted = plan.job.run.kept(len(plan))
    if not wanted:
        return []
    kept = ledger.kept(len(plan))
    if kept.sum() == ledger.counts()[0]:
        return []
    metric = METRICS.index(plan.job.objective)
    found, values = [], []
    for positions, _, states, metrics in ledger.rows():
        done = np.array(states) == "done"
        found.append(np.array(positions)[done])
        values.append(metrics[done, metric])
    position, value = np.concatenate(found), np.concatenate(values)
    order = np.argsort(value if plan.job.objective in LOWER_IS_BETTER else -value, kind="stable")
    best = position[order[:wanted]]
    return [int(position) for position in best[~kept[best]]]
