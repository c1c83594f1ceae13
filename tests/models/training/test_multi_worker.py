"""Two processes on loopback train as one does; where one is lost, the other saves and stops, and both go on again."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tests.models.training.test_replicas import difference

WORKER = Path(__file__).parent / "worker.py"
JOB = {"precision": "float64", "cnn": {"batch_norm": True}, "optimizer": {"optimizer": "adam"}, "epochs": 3}
HARDWARE = {"strategy": "multi_worker", "sync_batch_norm": True, "worker_silence": 6}
ENDLESS = {"epochs": 500}


def free_addresses(count):
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [f"127.0.0.1:{one.getsockname()[1]}" for one in sockets]
    finally:
        for one in sockets:
            one.close()


def start_workers(folder, name, jobs, **environment):
    """A process for each job; they find each other by the command line."""
    addresses = ",".join(free_addresses(len(jobs)))
    processes = []
    for index, job in enumerate(jobs):
        where = {
            **HARDWARE,
            **job.get("hardware", {}),
            **({} if environment else {"workers": addresses, "worker_index": index}),
        }
        job = {**JOB, "out": str(folder / f"{name}_{index}.npz"), **job, "hardware": where}
        own = {key: value.format(index=index) for key, value in environment.items()}
        inherited = {k: v for k, v in os.environ.items() if k != "TF_CONFIG" and not k.startswith("SLURM")}
        with (folder / f"{name}_{index}.log").open("w") as log:
            command = [sys.executable, WORKER, json.dumps(job)]
            processes.append(subprocess.Popen(command, stderr=log, env={**inherited, **own}))
    return processes


def ended(folder, name, processes, seconds=120, stopped=None):
    """The exit codes, within a time in which none may hang; None of the one that is stopped."""
    try:
        return [None if i == stopped else process.wait(seconds) for i, process in enumerate(processes)]
    except subprocess.TimeoutExpired:
        pytest.fail("\n".join(said(folder, name, index)[-2000:] for index in range(len(processes))))
    finally:
        for process in processes:
            process.kill()
            process.wait()


def said(folder, name, index):
    return (folder / f"{name}_{index}.log").read_text()


def learnt(folder, name, index=0):
    with np.load(folder / f"{name}_{index}.npz") as saved:
        return {key: saved[key] for key in saved.files}


def steps_saved(folder):
    return sorted(int(path.stem.partition("-")[2]) for path in folder.glob("step-*.npz"))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The folder of a run of two workers, `two`, that nothing happened to."""
    folder = tmp_path_factory.mktemp("undisturbed")
    # Each would make other numbers of steps in a call, as where the time decides: they agree.
    jobs = [{"carried": True, "steps_per_call": steps} for steps in (4, 3)]
    assert ended(folder, "two", start_workers(folder, "two", jobs)) == [0, 0]
    return folder


def test_two_workers_give_the_weights_of_one_process_and_the_same_evaluation(undisturbed):
    assert ended(undisturbed, "one", start_workers(undisturbed, "one", [{}])) == [0]
    first, second, single = (learnt(undisturbed, *which) for which in (("two", 0), ("two", 1), ("one", 0)))
    for key in first:
        np.testing.assert_array_equal(first[key], second[key])
    weights = [key for key in single if key.isdigit()]
    losses = ["loss", "val_loss"]  # float32
    assert difference([single[key] for key in losses], [first[key] for key in losses]) < 1e-6
    assert difference([single[key] for key in weights], [first[key] for key in weights]) < 1e-9


def test_a_snapshot_reaches_the_others_bit_for_bit(undisturbed):
    from tests.models.training.worker import odd_snapshot

    sent = odd_snapshot(5).arrays
    for index in (0, 1):
        received = learnt(undisturbed, "two", index)
        assert json.loads(str(received["carried_facts"])) == odd_snapshot(5).facts()
        for name, value in sent.items():
            got = received[f"carried/{name}"]
            assert (got.dtype, got.shape, got.tobytes()) == (value.dtype, value.shape, value.tobytes()), name


@pytest.mark.slow
def test_where_the_chief_dies_the_other_saves_and_stops_and_both_go_on_again_without_a_shared_folder(
    undisturbed, tmp_path
):
    jobs = [{"checkpoints": str(tmp_path / f"checkpoints_{index}")} for index in (0, 1)]
    broken = [{**jobs[0], "signal": signal.SIGKILL, "at": 10}, jobs[1]]
    assert ended(tmp_path, "broken", start_workers(tmp_path, "broken", broken)) == [-9, 75]
    assert "worker 0 (127.0.0.1" in said(tmp_path, "broken", 1) and "saved at step 1" in said(tmp_path, "broken", 1)
    chiefs, others = (steps_saved(tmp_path / f"checkpoints_{index}") for index in (0, 1))
    assert chiefs == [7] and others and others[0] > 7  # the chief saves each epoch, the other one only then
    again = start_workers(tmp_path, "again", [{**job, "seed": 5} for job in jobs])
    assert ended(tmp_path, "again", again) == [0, 0]
    for index in (0, 1):
        resumed, whole = learnt(tmp_path, "again", index), learnt(undisturbed, "two", index)
        for key in resumed:
            np.testing.assert_array_equal(resumed[key], whole[key], err_msg=key)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("lost", "number", "at"),
    [
        (1, signal.SIGKILL, 10),
        (0, signal.SIGSTOP, 10),
        (1, signal.SIGSTOP, 10),
        (1, signal.SIGKILL, "evaluation"),
        (0, signal.SIGKILL, "evaluation"),
        (0, signal.SIGKILL, "saving"),
    ],
)
def test_whatever_befalls_a_worker_the_other_saves_and_stops(tmp_path, lost, number, at):
    jobs = [{**ENDLESS, "checkpoints": str(tmp_path / "checkpoints")} for _ in (0, 1)]
    jobs[lost] |= {"signal": number, "at": at}
    processes = start_workers(tmp_path, "broken", jobs)
    codes = ended(tmp_path, "broken", processes, stopped=lost if number == signal.SIGSTOP else None)
    assert codes[1 - lost] == 75
    text = said(tmp_path, "broken", 1 - lost)
    step = steps_saved(tmp_path / "checkpoints")[-1]
    assert f"worker {lost} (127.0.0.1" in text and "silent" in text and f"The run is saved at step {step}" in text
    assert step >= (10 if at == 10 else 7)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_where_a_worker_is_lost_before_the_first_step_the_other_ends(tmp_path, number):
    jobs = [ENDLESS, {**ENDLESS, "signal": number, "at": "start"}]
    processes = start_workers(tmp_path, "early", jobs)
    codes = ended(tmp_path, "early", processes, stopped=1 if number == signal.SIGSTOP else None)
    assert codes[0] == 75 and "The last checkpoint stays" in said(tmp_path, "early", 0)


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
@pytest.mark.parametrize("told", [0, 1])
def test_a_worker_that_is_told_to_stop_ends_after_its_step_and_the_others_within_seconds(tmp_path, told, number, code):
    jobs = [{**ENDLESS, "checkpoints": str(tmp_path / f"checkpoints_{index}")} for index in (0, 1)]
    jobs[told] |= {"signal": number, "at": 10}
    codes = ended(tmp_path, "told", start_workers(tmp_path, "told", jobs))
    assert codes[told] == code and codes[1 - told] == 75
    text = said(tmp_path, "told", 1 - told)
    assert f"worker {told} (127.0.0.1" in text and "told to stop" in text and "is saved at step 1" in text
    # The chief has it, whoever was told; nobody else writes.
    assert steps_saved(tmp_path / "checkpoints_0")[-1] >= 10 and steps_saved(tmp_path / "checkpoints_1") == []


@pytest.mark.slow
def test_where_all_are_told_to_stop_all_end_so_and_the_run_goes_on_from_one_step(tmp_path):
    jobs = [{**ENDLESS, "checkpoints": str(tmp_path / "checkpoints")} for _ in (0, 1)]
    processes = start_workers(tmp_path, "all", jobs)
    while not (tmp_path / "checkpoints").exists() and all(process.poll() is None for process in processes):
        time.sleep(0.1)
    for process in processes:
        process.send_signal(signal.SIGTERM)
    assert ended(tmp_path, "all", processes) == [143, 143]
    assert steps_saved(tmp_path / "checkpoints")


@pytest.mark.slow
def test_a_worker_that_sleeps_for_less_than_is_allowed_changes_nothing(undisturbed, tmp_path):
    patient = {"hardware": {"worker_silence": 60}}
    processes = start_workers(tmp_path, "slept", [{**patient, "signal": signal.SIGSTOP, "at": 10}, patient])
    os.waitpid(processes[0].pid, os.WUNTRACED)
    time.sleep(20)  # TensorFlow by itself waits for 10
    processes[0].send_signal(signal.SIGCONT)
    assert ended(tmp_path, "slept", processes) == [0, 0]
    slept, whole = learnt(tmp_path, "slept", 1), learnt(undisturbed, "two", 1)
    for key in slept:
        np.testing.assert_array_equal(slept[key], whole[key], err_msg=key)


@pytest.mark.slow
@pytest.mark.parametrize(("lost", "writes"), [(0, 1), (1, 0)])
def test_of_three_workers_the_lowest_alive_saves(tmp_path, lost, writes):
    jobs = [{**ENDLESS, "checkpoints": str(tmp_path / f"checkpoints_{index}")} for index in range(3)]
    jobs[lost] |= {"signal": signal.SIGKILL, "at": 10}
    codes = ended(tmp_path, "three", start_workers(tmp_path, "three", jobs))
    assert [code for i, code in enumerate(codes) if i != lost] == [75, 75]
    for index in {0, 1, 2} - {lost}:
        assert f"worker {lost} (127.0.0.1" in said(tmp_path, "three", index)
    assert steps_saved(tmp_path / f"checkpoints_{writes}")[-1] >= 10
    assert steps_saved(tmp_path / "checkpoints_2") == []


@pytest.mark.slow
def test_what_one_worker_refuses_ends_the_other_and_is_named_there(tmp_path):
    assert ended(tmp_path, "bad", start_workers(tmp_path, "bad", [{"refuse": "x.jpg"}, {}])) == [2, 75]
    assert "worker 0 (127.0.0.1" in said(tmp_path, "bad", 1) and "x.jpg" in said(tmp_path, "bad", 1)
    jobs = [{"agreement": {"batch_size": size}} for size in (24, 32)]
    assert 2 in ended(tmp_path, "other", start_workers(tmp_path, "other", jobs))
    assert "batch_size=" in said(tmp_path, "other", 0) + said(tmp_path, "other", 1)


@pytest.mark.slow
def test_two_tasks_of_slurm_train_together(tmp_path):
    step = {
        "SLURM_PROCID": "{index}",
        "SLURM_STEP_NUM_TASKS": "2",
        "SLURM_STEP_NODELIST": "localhost",
        "SLURM_STEP_TASKS_PER_NODE": "2",
        "SLURMD_NODENAME": "localhost",
    }
    assert ended(tmp_path, "slurm", start_workers(tmp_path, "slurm", [{}, {}], **step)) == [0, 0]
    first, second = learnt(tmp_path, "slurm"), learnt(tmp_path, "slurm", 1)
    for key in first:
        np.testing.assert_array_equal(first[key], second[key], err_msg=key)
