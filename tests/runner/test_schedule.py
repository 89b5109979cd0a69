"""The schedule under any order of events: no job is lost, none is done twice, and the run ends."""

from __future__ import annotations

import math

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from options_bt.runner.run_folder.parts import Batch
from options_bt.runner.schedule import (
    FIRST_BATCH,
    LARGEST_BATCH,
    Action,
    BatchDone,
    Interrupted,
    Kill,
    Quarantine,
    Schedule,
    Submit,
    Tick,
    Work,
    WorkerDied,
)

FLOOR = 1000.0


def schedule(
    *counts: int, slots: int = 2, timeout: float = 10.0, retries: int = 1, max_failures: float = math.inf
) -> Schedule:
    work, first = [], 0
    for number, count in enumerate(counts):
        work.append(Work(f"S{number}", iter(range(first, first + count)), count))
        first += count
    return Schedule(work, slots=slots, timeout=timeout, retries=retries, floor=FLOOR, max_failures=max_failures)


def submitted(actions: list[Action]) -> list[Batch]:
    return [action.batch for action in actions if isinstance(action, Submit)]


class Machine(RuleBasedStateMachine):
    """Plays a coordinator to whose workers anything may happen."""

    @initialize(
        counts=st.lists(st.integers(0, 40), min_size=1, max_size=3),
        slots=st.integers(1, 4),
        retries=st.integers(0, 2),
        allowed=st.one_of(st.just(math.inf), st.integers(0, 5)),
    )
    def begin(self, counts: list[int], slots: int, retries: int, allowed: float) -> None:
        self.schedule = schedule(*counts, slots=slots, retries=retries, max_failures=allowed)
        self.allowed, self.failed, self.free = allowed, 0, math.inf
        self.jobs, self.slots, self.retries = set(range(sum(counts))), slots, retries
        self.flying: dict[int, Batch] = {}
        self.done: list[int] = []
        self.quarantined: dict[int, int] = {}
        self.deaths: dict[int, int] = {}
        self.rerun_whole: set[int] = set()
        self.stopping = False
        self.now = 0.0
        self.act(self.schedule.handle(Tick(), self.now))

    def act(self, actions: list[Action]) -> None:
        alone = len(self.flying) == 1
        # A worker that is killed dies a little later.
        for action in sorted(actions, key=lambda action: isinstance(action, Kill)):
            match action:
                case Submit(batch):
                    assert not self.stopping and self.failures() <= self.allowed
                    assert self.free >= FLOOR or not self.flying
                    assert batch.number not in self.flying
                    assert len(self.flying) < self.slots
                    self.flying[batch.number] = batch
                case Kill(number, reason):
                    assert number in self.flying
                    self.die(number, blamed="memory" not in reason or alone)
                case Quarantine(position, _, attempts, _):
                    assert position not in self.quarantined
                    self.quarantined[position] = attempts

    def failures(self) -> int:
        return self.failed + len(self.quarantined)

    def die(self, number: int, blamed: bool = True, not_at_fault: bool = False) -> None:
        batch = self.flying.pop(number)
        if not_at_fault and self.rerun_whole.isdisjoint(batch.positions):
            self.rerun_whole.add(batch.positions[0])
            blamed = False
        if blamed and len(batch.positions) == 1:
            self.deaths[batch.positions[0]] = self.deaths.get(batch.positions[0], 0) + 1
        self.act(self.schedule.handle(WorkerDied(number, "gone", not_at_fault), self.now))

    @precondition(lambda self: self.flying)
    @rule(data=st.data(), seconds=st.floats(0.0001, 5.0))
    def finish(self, data: st.DataObject, seconds: float) -> None:
        batch = self.flying.pop(data.draw(st.sampled_from(sorted(self.flying))))
        failed = data.draw(st.integers(0, 1))
        self.done += batch.positions
        self.failed += failed
        self.act(self.schedule.handle(BatchDone(batch.number, seconds, failed), self.now))

    @precondition(lambda self: self.flying)
    @rule(data=st.data(), not_at_fault=st.booleans())
    def lose_a_worker(self, data: st.DataObject, not_at_fault: bool) -> None:
        self.die(data.draw(st.sampled_from(sorted(self.flying))), not_at_fault=not_at_fault)

    @rule(slots=st.integers(0, 5))
    def workers_come_or_go(self, slots: int) -> None:
        self.slots = self.schedule.slots = slots

    @rule(seconds=st.floats(0.0, 30.0), free=st.sampled_from([math.inf, FLOOR, FLOOR / 2, FLOOR / 2 - 1, 0.0]))
    def wait(self, seconds: float, free: float) -> None:
        self.now += seconds
        self.free = free
        self.act(self.schedule.handle(Tick(free), self.now))

    @rule()
    def interrupt(self) -> None:
        self.stopping = True
        self.act(self.schedule.handle(Interrupted(), self.now))

    @invariant()
    def nothing_is_lost_or_done_twice(self) -> None:
        flying = [position for batch in self.flying.values() for position in batch.positions]
        ended = [*self.done, *self.quarantined]
        assert len(ended) == len(set(ended))
        assert not set(flying) & set(ended)
        assert len(flying) == len(set(flying))
        assert set(flying) | set(ended) <= self.jobs

    @invariant()
    def attempts_are_kept(self) -> None:
        assert all(deaths <= self.retries + 1 for deaths in self.deaths.values())
        assert all(attempts == self.retries + 1 for attempts in self.quarantined.values())

    def teardown(self) -> None:
        if not hasattr(self, "schedule"):
            return
        self.slots, self.free = max(self.slots, 1), math.inf
        self.schedule.slots = self.slots
        self.act(self.schedule.handle(Tick(math.inf), self.now))
        while self.flying:
            self.finish_first()
        assert self.schedule.finished
        if not self.stopping and self.failures() <= self.allowed:
            assert set(self.done) | set(self.quarantined) == self.jobs

    def finish_first(self) -> None:
        number = min(self.flying)
        batch = self.flying.pop(number)
        self.done += batch.positions
        self.act(self.schedule.handle(BatchDone(number, 0.1), self.now))


TestMachine = Machine.TestCase
TestMachine.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)


def test_a_batch_is_of_one_symbol_in_the_order_of_the_plan() -> None:
    one = schedule(6, 3, slots=1)
    (first,) = submitted(one.handle(Tick(), 0))
    assert (first.symbol, first.positions) == ("S0", tuple(range(FIRST_BATCH)))
    (second,) = submitted(one.handle(BatchDone(first.number, 1e-6), 1))
    assert (second.symbol, set(second.positions)) == ("S0", {4, 5})
    (third,) = submitted(one.handle(BatchDone(second.number, 1e-6), 2))
    assert (third.symbol, third.positions[0]) == ("S1", 6)


def test_batches_grow_to_half_a_second_and_shrink_towards_the_end() -> None:
    one = schedule(100_000, slots=2)
    sizes, flying = [], submitted(one.handle(Tick(), 0))
    while flying:
        batch = flying.pop(0)
        sizes.append(len(batch.positions))
        flying += submitted(one.handle(BatchDone(batch.number, 0.001 * len(batch.positions)), 0))
    assert max(sizes) == 500
    assert sizes[-1] == 1
    assert sum(sizes) == 100_000
    assert max(sizes) <= LARGEST_BATCH


def test_the_jobs_of_a_lost_batch_are_tried_one_by_one_and_the_culprit_is_named() -> None:
    one = schedule(4, slots=1, retries=1)
    (batch,) = submitted(one.handle(Tick(), 0))
    alone = submitted(one.handle(WorkerDied(batch.number, "killed by SIGSEGV"), 0))
    tried: list[int] = []
    quarantined: list[Quarantine] = []
    while alone:
        (position,) = alone[0].positions
        tried.append(position)
        event = WorkerDied(alone[0].number, "killed by SIGSEGV") if position == 2 else BatchDone(alone[0].number, 0.1)
        actions = one.handle(event, 0)
        quarantined += [action for action in actions if isinstance(action, Quarantine)]
        alone = submitted(actions)
    assert sorted(tried) == [0, 1, 2, 2, 3]
    assert quarantined == [Quarantine(2, "S0", 2, "killed by SIGSEGV")]
    assert one.finished


def test_a_stuck_batch_is_killed_once_and_blamed_on_the_timeout() -> None:
    one = schedule(1, slots=1, timeout=10, retries=0)
    (batch,) = submitted(one.handle(Tick(), 0))
    assert one.handle(Tick(), 9.9) == []
    (kill,) = one.handle(Tick(), 10.1)
    assert isinstance(kill, Kill)
    assert one.handle(Tick(), 11) == []
    (gone,) = one.handle(WorkerDied(batch.number, "killed by SIGKILL"), 12)
    assert isinstance(gone, Quarantine)
    assert "run.timeout" in gone.reason


def test_nothing_is_begun_after_an_interrupt() -> None:
    one = schedule(100, slots=2)
    first, second = submitted(one.handle(Tick(), 0))
    assert one.handle(Interrupted(), 0) == []
    assert not one.finished
    assert one.handle(BatchDone(first.number, 0.1), 0) == []
    assert one.handle(WorkerDied(second.number, "gone"), 0) == []
    assert one.finished


def test_nothing_is_begun_beside_others_while_memory_is_low() -> None:
    one = schedule(100, slots=2)
    first, second = submitted(one.handle(Tick(), 0))
    assert one.handle(Tick(FLOOR - 1), 0) == []
    assert one.handle(BatchDone(first.number, 0.1), 0) == []
    (alone,) = submitted(one.handle(BatchDone(second.number, 0.1), 0))
    assert len(submitted(one.handle(Tick(FLOOR), 0))) == 1
    assert alone in one.running


def test_the_youngest_batch_gives_way_and_is_run_again_without_blame() -> None:
    one = schedule(8, slots=2, retries=0)
    _, second = submitted(one.handle(Tick(), 0))
    (kill,) = one.handle(Tick(FLOOR / 2 - 1), 0)
    assert kill == Kill(second.number, "only 0 MB of memory were left")
    assert one.handle(Tick(FLOOR / 2 - 1), 0) == []
    assert one.handle(WorkerDied(second.number, "killed by SIGKILL"), 0) == []
    (again,) = submitted(one.handle(Tick(FLOOR), 0))
    assert set(again.positions) <= set(second.positions) and again.attempt == 1
    assert one.retried == 1


def test_a_job_that_takes_all_memory_alone_is_quarantined() -> None:
    one = schedule(1, slots=2, retries=1)
    for attempt in (1, 2):
        (batch,) = one.running or submitted(one.handle(Tick(), 0))
        assert batch.attempt == attempt
        assert one.handle(Tick(0.0), 0) == [Kill(batch.number, "only 0 MB of memory were left")]
        actions = one.handle(WorkerDied(batch.number, "killed by SIGKILL"), 0)
    assert actions == [Quarantine(0, "S0", 2, "only 0 MB of memory were left")]
    assert one.finished


def test_a_batch_that_did_not_bring_down_its_worker_runs_again_as_it_is_once() -> None:
    one = schedule(2, slots=1, retries=0)
    (first,) = submitted(one.handle(Tick(), 0))
    (again,) = submitted(one.handle(WorkerDied(first.number, "the host is gone", not_at_fault=True), 0))
    assert (again.positions, again.attempt) == (first.positions, 1)
    (alone,) = submitted(one.handle(WorkerDied(again.number, "the host is gone", not_at_fault=True), 0))
    assert alone.positions == (0,)


def test_slots_go_on_with_their_symbol_and_then_share_the_largest() -> None:
    one = schedule(40, 40, 400, slots=2)
    first, second = submitted(one.handle(Tick(), 0))
    assert (first.symbol, second.symbol) == ("S0", "S1")
    symbols, flying = [], [first, second]
    while flying:
        done = flying.pop(0)
        symbols.append(done.symbol)
        flying += submitted(one.handle(BatchDone(done.number, 0.1 * len(done.positions)), 0))
    assert symbols[:4] == ["S0", "S1", "S0", "S1"]
    assert symbols[-2:] == ["S2", "S2"]


def test_batches_of_very_many_slots_are_longer() -> None:
    lengths = []
    for slots in (2, 50, 400):
        one = schedule(1_000_000, slots=slots)
        first, *_ = submitted(one.handle(Tick(), 0))
        (second,) = submitted(one.handle(BatchDone(first.number, 0.01 * len(first.positions)), 0))
        lengths.append(len(second.positions))
    assert lengths == [50, 50, 400]


def test_without_slots_nothing_is_submitted_until_there_are_some() -> None:
    one = schedule(4, slots=0)
    assert one.handle(Tick(), 0) == [] and not one.finished
    one.slots = 1
    assert len(submitted(one.handle(Tick(), 0))) == 1


def test_too_many_failures_end_the_run() -> None:
    one = schedule(100, slots=2, max_failures=1)
    first, second = submitted(one.handle(Tick(), 0))
    (third,) = submitted(one.handle(BatchDone(first.number, 0.1, failed=1), 0))
    assert not one.gave_up
    assert one.handle(BatchDone(second.number, 0.1, failed=1), 0) == []
    assert one.gave_up and not one.finished
    assert one.handle(BatchDone(third.number, 0.1), 0) == []
    assert one.finished
