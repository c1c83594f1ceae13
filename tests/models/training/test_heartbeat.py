"""Several workers in one process, on real sockets; the silence that counts is short."""

import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from base.errors import InputError, StartAgain
from models.training.beats import Beat, decode
from models.training.cluster import Cluster
from models.training.heartbeat import Heartbeat


def free_addresses(count):
    sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return tuple(f"127.0.0.1:{one.getsockname()[1]}" for one in sockets)
    finally:
        for one in sockets:
            one.close()


WORKERS = []


@pytest.fixture(autouse=True)
def nobody_beats_on():
    yield
    while WORKERS:
        WORKERS.pop().leave("the test is over")


def workers_at(addresses, agreements=None, silence=0.5):
    workers = [
        Heartbeat(Cluster(addresses, i), (agreements or {}).get(i), interval=0.05, silence=silence)
        for i in range(len(addresses))
    ]
    WORKERS.extend(workers)
    return workers


def together(calls):
    """The result of each call, or what it raised; all at a time."""

    def result(call):
        try:
            return call()
        except Exception as error:
            return error

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(result, calls))


def met(count=3, **kwargs):
    workers = workers_at(free_addresses(count), **kwargs)
    assert together([lambda w=w: w.meet(20) for w in workers]) == [None] * count
    return workers


def fall_silent(worker):
    worker._closed.set()


def lost(worker):
    """What aborts a worker's collectives."""
    told = threading.Event()
    why = []
    worker.on_loss(lambda text: (why.append(text), told.set()))
    assert told.wait(20)
    return why[0]


@pytest.mark.parametrize(("silent", "writes"), [(0, 1), (1, 0), (2, 0)])
def test_a_worker_that_falls_silent_is_named_and_the_lowest_alive_writes(silent, writes):
    workers = met()
    assert [worker.writes for worker in workers] == [True, False, False]
    fall_silent(workers[silent])
    alive = [worker for i, worker in enumerate(workers) if i != silent]
    assert all(f"worker {silent}" in lost(worker) for worker in alive)
    assert all(f"worker {silent}" in why for why in together([worker.settle for worker in alive]))
    assert {worker.lowest_alive for worker in alive} == {writes}


def test_who_finds_a_failure_first_stops_the_others_and_all_find_out_who_is_gone():
    workers = met(silence=1000)  # long after the connection was seen to break
    fall_silent(workers[0])
    reasons = together([workers[2].settle, lambda: (lost(workers[1]), workers[1].settle())[1]])
    assert all("worker 0" in why and "silent" in why for why in reasons)
    assert [worker.writes for worker in workers[1:]] == [True, False]


def test_a_worker_that_ends_says_why_and_what_it_has_saved():
    workers = met()
    workers[0].saved(12)
    workers[0].leave("it was told to stop")
    assert all("worker 0" in lost(w) and "told to stop" in w.loss for w in workers[1:])
    assert [w.saved_elsewhere for w in workers[1:]] == [12, 12]


def test_nobody_is_lost_by_finishing_and_all_wait_for_the_last():
    workers = met()
    with ThreadPoolExecutor(2) as pool:
        early = [pool.submit(worker.finish) for worker in workers[1:]]
        time.sleep(1)  # twice the silence that counts
        assert not any(one.done() for one in early)
        assert workers[0].finish() == ""
        assert [one.result(20) for one in early] == ["", ""]


def test_workers_that_never_come_are_named():
    addresses = free_addresses(3)
    present = workers_at(addresses)[:2]
    error, other = together([lambda: present[0].meet(1), lambda: present[1].meet(3)])
    assert isinstance(error, StartAgain) and addresses[2] in str(error) and addresses[1] not in str(error)
    assert isinstance(other, StartAgain) and addresses[2] in str(other)


def test_workers_with_other_options_refuse_each_other_and_name_the_option():
    workers = workers_at(free_addresses(2), {0: {"seed": 1, "sizes": (1, 2)}, 1: {"seed": 2, "sizes": (1, 2)}})
    for error in together([lambda w=w: w.meet(20) for w in workers]):
        assert isinstance(error, (InputError, StartAgain)) and "seed=" in str(error) and "sizes" not in str(error)


def test_a_worker_that_is_started_again_is_not_taken_for_the_one_before():
    addresses = free_addresses(2)
    old = workers_at(addresses)
    assert together([lambda w=w: w.meet(20) for w in old]) == [None, None]
    fall_silent(old[1])
    old[1]._thread.join()
    old[1]._socket.close()
    again = Heartbeat(Cluster(addresses, 1), interval=0.05, silence=0.5)
    with pytest.raises(StartAgain, match="missing"):  # the old one answers, but to whom it has known
        again.meet(2)
    assert "worker 1" in old[0].loss


def test_a_process_that_can_not_be_unblocked_ends_with_75_and_says_why():
    addresses = free_addresses(2)
    code = (
        "import sys, time; from models.training.cluster import Cluster;"
        "from models.training.heartbeat import Heartbeat;"
        "beat = Heartbeat(Cluster(tuple(sys.argv[1:]), 1), interval=0.05, silence=0.5, patience=0.5);"
        "beat.meet(60); print('met', flush=True)\nwith beat.communicating(): time.sleep(100)"
    )
    stuck = subprocess.Popen([sys.executable, "-c", code, *addresses], stdout=subprocess.PIPE, text=True)
    chief = Heartbeat(Cluster(addresses, 0), interval=0.05, silence=0.5)
    chief.meet(60)
    assert stuck.stdout.readline() == "met\n"
    chief.leave("its disk is full")
    said, _ = stuck.communicate(timeout=60)
    assert stuck.returncode == 75 and "worker 0" in said and "its disk is full" in said


def test_what_is_no_beat_is_not_heard():
    workers = met(2)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        host, port = workers[0]._cluster.addresses[0].split(":")
        forged = Beat(worker=1, life="x", to="guessed", state="left", why="forged").encode()
        for datagram in (b"", b"\x00" * 100, forged, forged[:20]):
            stranger.sendto(datagram, (host, int(port)))
    time.sleep(0.2)
    assert workers[0].loss == "" and decode(b"{}") is None
    assert together([worker.finish for worker in workers]) == ["", ""]
