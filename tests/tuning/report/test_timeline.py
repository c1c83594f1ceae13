import pytest

from tuning.report.timeline import overhead, timeline, worker_slots
from tuning.trial import Execution, result_of


def trial(number: int, *executions: Execution):
    return result_of(number, {}, "a", executions)


def run(
    slot: int, seconds: float, idle: float | None, first: float | None = None, last: float | None = None, worker=""
):
    times = {"seconds": seconds, "idle_before": idle, "to_first_step": first, "after_last_step": last}
    return Execution(seed=1, score=1.0, slot=slot, worker=worker, **times)


RESULTS = [
    trial(3, run(1, 4.0, 0.5, 3.0, 1.0)),
    trial(1, run(1, 10.0, None, 2.0, 0.25), run(1, 6.0, 0.25, 1.0)),
    trial(2, run(2, 7.0, None, 4.0, 2.0)),
]


def test_each_slots_executions_follow_one_another():
    found = [(one.trial, one.slot, one.begin, one.seconds) for one in timeline(RESULTS)]
    assert found == [(1, 1, 0.0, 10.0), (1, 1, 10.25, 6.0), (2, 2, 0.0, 7.0), (3, 1, 16.75, 4.0)]


def test_the_slots_of_two_workers_are_places_of_their_own():
    results = [
        trial(1, run(1, 10.0, None, 2.0, 0.25, worker="b")),
        trial(2, run(1, 8.0, None, 2.0, 0.5, worker="a")),
        trial(3, run(2, 8.0, None, 2.0, 0.5, worker="a")),
        trial(4, run(1, 4.0, 1.5, 2.0, worker="a")),
    ]
    stretches = timeline(results)
    assert worker_slots(results) == [("a", 1), ("a", 2), ("b", 1)]
    assert [(one.trial, one.slot, one.begin) for one in stretches] == [(1, 3, 0), (2, 1, 0), (3, 2, 0), (4, 1, 9.5)]
    assert overhead(stretches)["last step to the next start"].median == 2.0  # of worker a's first slot
    assert worker_slots(RESULTS) == []


def test_overhead_is_the_median_of_what_is_known():
    found = {name: (one.median, one.least, one.most, one.count) for name, one in overhead(timeline(RESULTS)).items()}
    assert found == {
        "process start to first step": (2.5, 1.0, 4.0, 4),
        "last step to process end": (1.0, 0.25, 2.0, 3),
        "process end to the next start": (0.375, 0.25, 0.5, 2),
        # Trial 1 to its second execution, of which it is not known when its last step was.
        "last step to the next start": (0.5, 0.5, 0.5, 1),
    }
    assert overhead([]) == {}
    assert list(overhead(timeline([trial(1, run(1, 3.0, None))]))) == []
    assert found["process start to first step"][0] == pytest.approx(2.5)
