"""Which trades and equity a run still has to store, by `run.keep` of its job file."""

from __future__ import annotations

import numpy as np

from options_bt.engine.metrics import METRICS
from options_bt.job.objectives import LOWER_IS_BETTER
from options_bt.job.planner import Plan
from options_bt.runner.run_folder.ledger import Ledger


def keeps_too_few(plan: Plan, ledger: Ledger) -> bool:
    """Return whether tables of fewer jobs are stored than the job file asks for."""
    wanted = min(plan.job.run.kept(len(plan)), ledger.counts()[0])
    return wanted > 0 and int(ledger.kept(len(plan)).sum()) < wanted


def best_without_tables(plan: Plan, ledger: Ledger) -> list[int]:
    """Return the positions of the jobs whose tables are to be stored and are not.

    These are of the best by the objective that are done, as `analysis.tables.ranked` has them: undefined values come
    last, ties in the order of the plan.
    """
    wanted = plan.job.run.kept(len(plan))
    if not wanted:
        return []
    kept = ledger.kept(len(plan))
    if kept.sum() == ledger.counts()[0]:
        return []
    metric = METRICS.index(plan.job.objective)
    places, values = [], []
    for positions, _, states, metrics in ledger.rows():
        done = np.array(states) == "done"
        places.append(np.array(positions)[done])
        values.append(metrics[done, metric])
    place, value = np.concatenate(places), np.concatenate(values)
    order = np.argsort(value if plan.job.objective in LOWER_IS_BETTER else -value, kind="stable")
    best = place[order[:wanted]]
    return [int(position) for position in best[~kept[best]]]
