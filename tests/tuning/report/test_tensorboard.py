"""What TensorBoard itself reads: its data server, and its HParams plugin on it."""

import contextlib
import dataclasses
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tensorboard import context
from tensorboard.backend.event_processing import data_provider as event_data
from tensorboard.backend.event_processing import plugin_event_multiplexer
from tensorboard.data import server_ingester
from tensorboard.plugins import base_plugin
from tensorboard.plugins.hparams import api_pb2, backend_context, list_session_groups
from tensorboard.util import grpc_util

from tuning.oracles.options import OracleOptions
from tuning.plan import SearchPlan
from tuning.report.tensorboard import write_trial
from tuning.search_directory import SearchDirectory
from tuning.space.label import label
from tuning.space.parameters import Boolean, Choice, Condition, Float
from tuning.trial import Execution, TrialResult, execution_folder, result_of, write_result

ROOT = Path(__file__).parents[3]
SPACE = (
    Choice(name="blocks", values=(1, 3), label="conv"),
    Choice(name="head_units", values=([], [256]), label="head"),
    Boolean(name="batch_norm"),
    Float(name="dropout", low=0.0, high=0.5, when=Condition(name="batch_norm", values=(False,))),
)
VALUES = {"blocks": 3, "head_units": [256], "batch_norm": False, "dropout": 0.25}
NAME = "3-conv-256-head-no-batch_norm-0.25-dropout".replace("_", "-")
REQUEST = context.RequestContext()


def plan(executions: int = 1) -> SearchPlan:
    oracle = OracleOptions(algorithm="random", trials=3)
    return SearchPlan(space=SPACE, options={}, oracle=oracle, executions=executions, seed=7, data_fingerprint="abc")


def trained(directory, number, rows_of_executions, values=VALUES, **fields) -> TrialResult:
    executions = []
    for execution, rows in enumerate(rows_of_executions, start=1):
        run = execution_folder(directory.trial(number), execution) / "run"
        run.mkdir(parents=True)
        (run / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        best = min((row for row in rows if row["val_loss"] is not None), key=lambda row: row["val_loss"])
        measured = {name: best[name] for name in ("val_loss", "val_accuracy")}
        one = Execution(seed=7, score=best["val_loss"], epoch=best["epoch"], metrics=measured, seconds=12.5)
        executions.append(one)
    result = result_of(number, values, label(SPACE, values), executions, **fields)
    write_result(directory.trial(number), result)
    return result


def rows(*losses: float | None, first: int = 1) -> list[dict]:
    each = enumerate(losses, start=first)
    others = {"val_accuracy": 0.5, "loss": float("nan"), "norms": {"a": 1.0}}
    return [{"epoch": epoch, "val_loss": loss, **others} for epoch, loss in each]


@contextlib.contextmanager
def data_server(folder: Path):
    """The data provider that the `tensorboard` command asks, in a process of its own until the block ends."""
    local = grpc_util.ChannelCredsType.LOCAL
    binary = server_ingester.get_server_binary()
    ingester = server_ingester.SubprocessServerDataIngester(
        binary, str(folder), reload_interval=1, channel_creds_type=local
    )
    ingester.start()
    try:
        yield ingester.data_provider
    finally:
        ingester._stdin_handle.close()  # it ends with its input


def loaded(folder: Path) -> event_data.MultiplexerDataProvider:
    """The data provider without the data server."""
    multiplexer = plugin_event_multiplexer.EventMultiplexer()
    multiplexer.AddRunsFromDirectory(str(folder))
    multiplexer.Reload()
    return event_data.MultiplexerDataProvider(multiplexer, str(folder))


def runs_of(provider) -> list[str]:
    return sorted(run.run_name for run in provider.list_runs(REQUEST, experiment_id=""))


def wait_for(provider, runs: int) -> list[str]:
    deadline = time.monotonic() + 20
    while len(runs_of(provider)) < runs and time.monotonic() < deadline:
        time.sleep(0.05)
    return runs_of(provider)


def curve(provider, run: str, tag: str) -> list[tuple[int, float]]:
    read = provider.read_scalars(REQUEST, experiment_id="", plugin_name="scalars", downsample=100)[run][tag]
    return [(datum.step, datum.value) for datum in read]


def table(provider) -> dict[str, api_pb2.SessionGroup]:
    """The rows of the HParams plugin's table."""
    backend = backend_context.Context(base_plugin.TBContext(data_provider=provider, logdir=""))
    everything = [api_pb2.STATUS_UNKNOWN, api_pb2.STATUS_SUCCESS, api_pb2.STATUS_FAILURE, api_pb2.STATUS_RUNNING]
    request = api_pb2.ListSessionGroupsRequest(slice_size=100, allowed_statuses=everything)
    found = list_session_groups.Handler(REQUEST, backend, "", request).run().session_groups
    return {group.name: group for group in found}


def columns(provider) -> api_pb2.Experiment:
    backend = backend_context.Context(base_plugin.TBContext(data_provider=provider, logdir=""))
    content = backend.hparams_metadata(REQUEST, "")
    return backend.experiment_from_metadata(REQUEST, "", True, content, None)


def measured(group: api_pb2.SessionGroup) -> dict[str, float]:
    return {value.name.tag: value.value for value in group.metric_values}


def plain(group: api_pb2.SessionGroup) -> dict:
    return {name: getattr(value, value.WhichOneof("kind")) for name, value in group.hparams.items()}


def test_tensorboard_shows_each_trial_under_its_name_with_its_curves_and_its_row(tmp_path):
    directory = SearchDirectory(tmp_path)
    other = {"blocks": 1, "head_units": [], "batch_norm": True}
    write_trial(directory, plan(), trained(directory, 1, [rows(0.5, 0.25, None, 0.375)]))
    failing = [Execution(seed=7, reason="out of memory")]
    failed = result_of(2, other, label(SPACE, other), failing)
    write_result(directory.trial(2), failed)
    write_trial(directory, plan(), failed)
    with data_server(directory.tensorboard) as provider:
        assert wait_for(provider, 3) == [".", "1-conv-no-head-batch-norm", NAME]
        assert curve(provider, NAME, "val_loss") == [(1, 0.5), (2, 0.25), (4, 0.375)]
        assert curve(provider, NAME, "trial/val_loss") == [(2, 0.25)]
        tags = set(provider.list_scalars(REQUEST, experiment_id="", plugin_name="scalars")[NAME])
        assert tags == {"val_loss", "val_accuracy", "trial/val_loss", "trial/val_accuracy", "trial/seconds"}
        groups = table(provider)
        assert plain(groups[NAME]) == {"blocks": 3.0, "head_units": "256", "batch_norm": False, "dropout": 0.25}
        assert measured(groups[NAME]) == {"trial/val_loss": 0.25, "trial/val_accuracy": 0.5, "trial/seconds": 12.5}
        (session,) = groups[NAME].sessions
        assert session.status == api_pb2.STATUS_SUCCESS
        assert session.end_time_secs - session.start_time_secs == pytest.approx(12.5)
        group = groups["1-conv-no-head-batch-norm"]
        assert plain(group) == {"blocks": 1.0, "head_units": "none", "batch_norm": True}
        assert group.sessions[0].status == api_pb2.STATUS_FAILURE
        experiment = columns(provider)
    infos = {info.name: info for info in experiment.hparam_infos}
    assert list(infos["blocks"].domain_discrete) == [1, 3]
    assert list(infos["head_units"].domain_discrete) == ["none", "256"]
    assert list(infos["batch_norm"].domain_discrete) == [False, True]
    assert (infos["dropout"].domain_interval.min_value, infos["dropout"].domain_interval.max_value) == (0.0, 0.5)
    assert [info.display_name for info in experiment.metric_infos] == ["val_loss", "val_accuracy", "seconds"]


def test_executions_are_runs_of_their_own_and_one_row(tmp_path):
    directory = SearchDirectory(tmp_path)
    result = trained(directory, 1, [rows(0.5), rows(0.25)])
    write_trial(directory, plan(executions=2), result)
    with data_server(directory.tensorboard) as provider:
        assert wait_for(provider, 3) == [".", f"{NAME}/execution-1", f"{NAME}/execution-2"]
        assert curve(provider, f"{NAME}/execution-2", "val_loss") == [(1, 0.25)]
        assert measured(table(provider)[NAME])["trial/val_loss"] == 0.375


def test_a_trial_that_went_on_has_a_name_of_its_own(tmp_path):
    directory = SearchDirectory(tmp_path)
    write_trial(directory, plan(), trained(directory, 1, [rows(0.5, 0.25, 0.2)], epochs=3))
    write_trial(directory, plan(), trained(directory, 2, [rows(0.125, first=4)], epochs=4, parent=1))
    with data_server(directory.tensorboard) as provider:
        assert wait_for(provider, 3) == [".", f"{NAME}-3-epochs", f"{NAME}-4-epochs"]
        assert curve(provider, f"{NAME}-4-epochs", "val_loss") == [(4, 0.125)]


def test_the_loader_without_the_data_server_reads_the_same(tmp_path):
    directory = SearchDirectory(tmp_path)
    write_trial(directory, plan(), trained(directory, 1, [rows(0.5, 0.25)]))
    provider = loaded(directory.tensorboard)
    assert runs_of(provider) == [".", NAME]
    assert curve(provider, NAME, "val_loss") == [(1, 0.5), (2, 0.25)]
    assert measured(table(provider)[NAME])["trial/val_loss"] == 0.25


def test_again_it_leaves_the_files_as_they_are(tmp_path):
    directory = SearchDirectory(tmp_path)
    result = trained(directory, 1, [rows(0.5)])
    write_trial(directory, plan(), result)
    files = [path for path in directory.tensorboard.rglob("*") if path.is_file()]
    assert len(files) == 2
    before = {path: path.stat().st_ino for path in files}
    write_trial(directory, plan(), result)
    damaged = directory.tensorboard / NAME / "events.out.tfevents.1.millrace"
    whole = damaged.read_bytes()
    assert {path: path.stat().st_ino for path in directory.tensorboard.rglob("*") if path.is_file()} == before
    damaged.write_bytes(b"cut")
    write_trial(directory, plan(), result)
    assert damaged.read_bytes() == whole
    assert sorted(path for path in directory.tensorboard.rglob("*") if path.is_file()) == sorted(files)


def test_the_report_and_the_event_files_come_without_tensorflow(tmp_path):
    directory = SearchDirectory(tmp_path)
    trained(directory, 1, [rows(0.5)])
    code = f"""
import sys
from pathlib import Path
from tuning.oracles.options import OracleOptions
from tuning.space.parameters import Boolean, Choice, Condition, Float
from tuning.plan import SearchPlan
from tuning.search_directory import SearchDirectory
from tuning.report.report import write_report
from tuning.report.tensorboard import write_trial
heavy = {{"tensorflow", "keras", "keras_tuner", "matplotlib", "sklearn", "tensorboard"}} & set(sys.modules)
assert not heavy, heavy
directory = SearchDirectory(Path({str(tmp_path)!r}))
plan = SearchPlan(
    space={SPACE!r}, options={{"data": "d"}}, oracle=OracleOptions(), seed=7, data_fingerprint="abc"
)
write_trial(directory, plan, directory.results()[0])
write_report(directory, plan, ["core 0"])
heavy = {{"tensorflow", "keras", "keras_tuner"}} & set(sys.modules)
assert not heavy, heavy
"""
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert ended.returncode == 0, ended.stderr
    assert directory.report.is_file()


def test_a_column_of_numbers_and_none_is_text(tmp_path):
    rate = Choice(name="rate", values=(None, 0.5), when=Condition(name="batch_norm", values=(True,)))
    other = Float(name="rate", low=0.1, high=0.9, when=Condition(name="batch_norm", values=(False,)))
    a_plan = dataclasses.replace(plan(), space=(Boolean(name="batch_norm"), rate, other))
    directory = SearchDirectory(tmp_path)
    write_trial(directory, a_plan, trained(directory, 1, [rows(0.5)], {"batch_norm": True, "rate": None}))
    write_trial(directory, a_plan, trained(directory, 2, [rows(0.5)], {"batch_norm": False, "rate": 0.25}))
    provider = loaded(directory.tensorboard)
    assert [plain(group)["rate"] for group in table(provider).values()] == ["none", "0.25"]
