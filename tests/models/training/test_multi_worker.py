"""Two processes on loopback train as one does; where one dies, the other saves and stops, and both go on again."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.models.training.test_replicas import difference

WORKER = Path(__file__).parent / "worker.py"
JOB = {"precision": "float64", "cnn": {"batch_norm": True}, "optimizer": {"optimizer": "adam"}, "epochs": 3}


def free_addresses(count):
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [f"127.0.0.1:{one.getsockname()[1]}" for one in sockets]
    finally:
        for one in sockets:
            one.close()


def start_workers(tmp_path, name, jobs):
    """A process for each job; they find each other by the command line."""
    addresses = ",".join(free_addresses(len(jobs)))
    processes = []
    for index, job in enumerate(jobs):
        where = {"strategy": "multi_worker", "workers": addresses, "worker_index": index, **job.pop("hardware", {})}
        job = {**JOB, "out": str(tmp_path / f"{name}_{index}.npz"), **job, "hardware": where}
        log = (tmp_path / f"{name}_{index}.log").open("w")
        environment = {k: v for k, v in os.environ.items() if k != "TF_CONFIG"}
        processes.append(subprocess.Popen([sys.executable, WORKER, json.dumps(job)], stderr=log, env=environment))
    return processes


def ended(tmp_path, name, processes, seconds=90):
    """The exit codes, within a time in which none may hang."""
    try:
        return [process.wait(seconds) for process in processes]
    except subprocess.TimeoutExpired:
        logs = [(tmp_path / f"{name}_{index}.log").read_text()[-2000:] for index in range(len(processes))]
        pytest.fail("\n".join(logs))
    finally:
        for process in processes:
            process.kill()


def learnt(tmp_path, name, index=0):
    with np.load(tmp_path / f"{name}_{index}.npz") as saved:
        return {key: saved[key] for key in saved.files}


def test_two_workers_give_the_weights_of_one_process_and_the_same_evaluation(tmp_path):
    synced = {"sync_batch_norm": True}
    two = start_workers(tmp_path, "two", [{"hardware": synced}, {"hardware": synced}])
    assert ended(tmp_path, "two", two) == [0, 0]
    one = start_workers(tmp_path, "one", [{}])
    assert ended(tmp_path, "one", one) == [0]
    first, second, single = learnt(tmp_path, "two"), learnt(tmp_path, "two", 1), learnt(tmp_path, "one")
    for key in first:
        np.testing.assert_array_equal(first[key], second[key])
    assert difference(list(single.values()), list(first.values())) < 1e-6  # losses are float32
    weights = [key for key in single if key.isdigit()]
    assert difference([single[key] for key in weights], [first[key] for key in weights]) < 1e-9


@pytest.mark.parametrize("dying", [0, 1])
def test_where_a_worker_dies_the_other_saves_and_stops_and_both_go_on_again(tmp_path, dying):
    checkpoints = {"checkpoints": str(tmp_path / "checkpoints"), "survives": True}
    jobs = [dict(checkpoints), dict(checkpoints)]
    jobs[dying]["die_at"] = 10
    codes = ended(tmp_path, "broken", start_workers(tmp_path, "broken", jobs), seconds=60)
    assert codes[dying] == -9 and codes[1 - dying] == 3
    said = (tmp_path / f"broken_{1 - dying}.log").read_text()
    assert "Expected all workers to live" in said and "is saved at step" in said
    again = start_workers(tmp_path, "again", [{**checkpoints, "seed": 5}, {**checkpoints, "seed": 5}])
    assert ended(tmp_path, "again", again) == [0, 0]
    undisturbed = start_workers(tmp_path, "whole", [{}, {}])
    assert ended(tmp_path, "whole", undisturbed) == [0, 0]
    resumed, whole = learnt(tmp_path, "again"), learnt(tmp_path, "whole")
    for key in whole:
        np.testing.assert_array_equal(resumed[key], whole[key], err_msg=key)
