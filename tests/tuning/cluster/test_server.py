"""A chief on loopback, asked by KerasTuner's own client and by one that says what it should not."""

import contextlib
import threading

import grpc
import keras_tuner
import pytest
from keras_tuner.src.distribute.oracle_client import OracleClient

from base.errors import InputError
from tuning.cluster.chief import Chief
from tuning.cluster.options import Address
from tuning.cluster.server import ChiefServer
from tuning.cluster.wire import MESSAGES, RESULT, SERVICE, STUBS, Status
from tuning.hours import Hours
from tuning.oracles.journal import Journal
from tuning.oracles.options import OracleOptions
from tuning.oracles.oracle import Oracle
from tuning.plan import SearchPlan
from tuning.search_directory import SearchDirectory
from tuning.space.parameters import Choice, Condition, Float

SPACE = (
    Choice(name="layers", values=(0, 1, 2)),
    Choice(name="units", values=(32, 64), when=Condition(name="layers", values=(1, 2))),
    Float(name="rate", low=1e-4, high=1e-2, log=True),
)


@contextlib.contextmanager
def serving(folder, trials=2, port=0):
    """A chief, its server, and the thread in which it serves."""
    options = OracleOptions(algorithm="random", trials=trials)
    plan = SearchPlan(space=SPACE, options={"seed": 0}, oracle=options, seed=0, data_fingerprint="abc")
    folder.mkdir(exist_ok=True)
    directory = SearchDirectory(folder)
    journal = Journal(directory.journal, Oracle(SPACE, options, seed=0))
    chief = Chief(plan, directory, journal, hours=Hours(directory.hours), silent_seconds=5.0)
    with ChiefServer(chief, plan, {"search": "s"}, Address(host="127.0.0.1", port=port)) as server:
        thread = threading.Thread(target=server.serve, daemon=True)
        thread.start()
        yield chief, server, thread
    thread.join(timeout=60)
    assert not thread.is_alive()  # it serves no longer than the block


@pytest.fixture
def client(monkeypatch):
    def connected(server, name="tuner-1"):
        monkeypatch.setenv("KERASTUNER_ORACLE_IP", server.address.host)
        monkeypatch.setenv("KERASTUNER_ORACLE_PORT", str(server.address.port))
        monkeypatch.setenv("KERASTUNER_TUNER_ID", name)
        return OracleClient(keras_tuner.RandomSearch)

    return connected


def test_kerastuners_own_client_searches_to_the_end(tmp_path, client):
    with serving(tmp_path, trials=3) as (chief, server, thread):
        oracle = client(server)
        space = oracle.get_space()
        oracle.update_space(space)
        scores = {"1": [0.5, 0.1 + 0.2, 0.4], "2": [0.7], "3": []}
        for number, values in scores.items():
            trial = oracle.create_trial("tuner-1")
            assert trial.trial_id == number and trial.status == "RUNNING"
            assert oracle.create_trial("tuner-1").hyperparameters.values == trial.hyperparameters.values
            for step, value in enumerate(values):
                said = oracle.update_trial(number, {"val_loss": value, "accuracy": 0.5 + step}, step)
                assert said.status == "RUNNING" and said.metrics.exists("val_loss")
            trial.status = "COMPLETED" if values else "INVALID"
            oracle.end_trial(trial)
        assert oracle.create_trial("tuner-1").status == "STOPPED"
        thread.join(timeout=10)
        assert not thread.is_alive()
    assert {number: one.score for number, one in chief.results.items()} == {1: 0.1 + 0.2, 2: 0.7, 3: None}
    assert chief.results[1].executions[0].epoch == 1
    assert chief.results[1].metrics == {"val_loss": 0.1 + 0.2, "accuracy": 1.5}
    assert all(set(one.values) <= {"layers", "units", "rate"} for one in chief.results.values())


class Tuner(keras_tuner.Tuner):
    """KerasTuner's own loop; what it trains is made up."""

    def run_trial(self, trial):
        layers = trial.hyperparameters.Choice("layers", [0, 1, 2])
        if layers == 1:
            raise ValueError("no")
        return {"val_loss": 0.5 + layers + trial.hyperparameters.get("rate")}


def test_kerastuners_own_tuner_works_for_our_chief(tmp_path, client):
    with serving(tmp_path / "chief", trials=8) as (chief, server, thread):
        client(server)  # its environment
        oracle = keras_tuner.oracles.RandomSearchOracle(keras_tuner.Objective("val_loss", "min"), max_trials=8)
        Tuner(oracle=oracle, directory=tmp_path / "tuner").search()
        thread.join(timeout=10)
        assert not thread.is_alive()
    assert {one.values["layers"] for one in chief.results.values()} == {0, 1, 2}
    for one in chief.results.values():
        layers = one.values["layers"]
        assert one.score == (None if layers == 1 else 0.5 + layers + one.values["rate"])


def test_the_best_trials_and_those_that_ended_can_be_asked_for(tmp_path, client):
    with serving(tmp_path) as (_, server, _):
        oracle = client(server)
        for value in (0.7, 0.5):
            trial = oracle.create_trial("tuner-1")
            oracle.update_trial(trial.trial_id, {"val_loss": value})
            trial.status = "COMPLETED"
            oracle.end_trial(trial)
        assert [trial.trial_id for trial in oracle.get_best_trials(2)] == ["2", "1"]
        assert oracle.get_trial("1").status == "COMPLETED" and oracle.get_trial("1").score == pytest.approx(0.7)


def test_a_tuner_whose_trial_another_one_has_is_told_to_stop(tmp_path, client):
    with serving(tmp_path) as (chief, server, _):
        oracle = client(server)
        trial = oracle.create_trial("tuner-1")
        given_back = MESSAGES.Trial(trial_id="1", status=Status.IDLE)
        oracle.stub.EndTrial(SERVICE.EndTrialRequest(trial=given_back))
        assert oracle.create_trial("tuner-2").trial_id.startswith("1-")
        assert oracle.update_trial("1", {"val_loss": 0.5}).status == "STOPPED"
        trial.status = "FAILED"
        oracle.end_trial(trial)  # late, and answered
        assert 1 not in chief.results


def test_what_is_no_word_of_the_protocol_is_refused_and_the_chief_serves_on(tmp_path, client):
    with serving(tmp_path) as (_, server, thread):
        oracle = client(server)
        trial = oracle.create_trial("tuner-1")
        end = MESSAGES.Trial(trial_id="1", status=Status.COMPLETED)
        end.hyperparameters.values.values[RESULT].string_value = '{"state": "done"}'
        more = trial.hyperparameters.copy()
        more.Int("start_from", 0, 9)
        stub = STUBS.OracleStub(grpc.insecure_channel(str(server.address)))
        refused = {
            "Expected a tuner_id": lambda: oracle.create_trial(""),
            "Expected the id of a trial": lambda: oracle.get_trial("../1"),
            "Expected a trial of this search": lambda: oracle.update_trial("2", {"val_loss": 1.0}),
            "Expected a trial's result": lambda: stub.EndTrial(SERVICE.EndTrialRequest(trial=end)),
            "Expected the status": lambda: stub.EndTrial(SERVICE.EndTrialRequest(trial=MESSAGES.Trial(trial_id="1"))),
            "Expected no hyperparameters beyond": lambda: oracle.update_space(more),
            "larger than max": lambda: oracle.update_trial("1", {"x" * 2_000_000: 1.0}),
        }
        for text, call in refused.items():
            with pytest.raises(grpc.RpcError) as error:
                call()
            assert text in error.value.details()
        assert thread.is_alive() and oracle.get_trial("1").status == "RUNNING"


def test_a_port_that_is_taken_is_refused(tmp_path):
    with (
        serving(tmp_path / "a") as (_, server, _),
        pytest.raises(InputError, match="Expected --chief to name a free port"),
        serving(tmp_path / "b", port=server.address.port),
    ):
        pass
