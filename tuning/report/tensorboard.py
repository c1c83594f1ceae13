"""A search for TensorBoard: `tensorboard --logdir OUT/tensorboard` shows a run a trial, and the table of HParams.

The event files are written anew from what the trials left, by the messages of the tensorboard package alone, and not
links to the trials' own: a run that was killed and went on has written some epochs twice there, and the folder can be
copied by itself.
"""

import io
import math
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from base import files
from tuning.curves import Rows, rows_of
from tuning.plan import SearchPlan
from tuning.search_directory import SearchDirectory
from tuning.space.axes import Axis, axes_of, value_text
from tuning.trial import RESULT, Execution, TrialResult

if TYPE_CHECKING:
    from tensorboard.compat.proto.summary_pb2 import Summary

EVENTS = "events.out.tfevents.1.millrace"  # one a run: TensorBoard looks for "tfevents" in a name
JUDGED = "trial/"  # before the names of what a trial came to, beside those of its curves


def run_name(result: TrialResult) -> str:
    """The trial's name; Hyperband proposes the same values again, for longer: '3-conv-64-filters-0-dense-9-epochs'."""
    return result.label if result.epochs is None else f"{result.label}-{result.epochs}-epochs"


def write_trial(directory: SearchDirectory, plan: SearchPlan, result: TrialResult) -> None:
    """Writes a trial's curves, its row of the HParams table and, the first time, the table's head.

    Called again it leaves the same files.

    Args:
        directory: The search's, with the result in the trial's folder.
        plan: Of the search.
        result: Of a trial that has ended.
    """
    axes = axes_of(plan.space)
    _write(directory.tensorboard / EVENTS, [(0, _experiment(axes, plan))], 0.0)
    name = run_name(result)
    ended = (directory.trial(result.number) / RESULT).stat().st_mtime
    values = {axis.name: _plain(axis, result.values[axis.name]) for axis in axes if axis.name in result.values}
    if not result.executions:
        _write(directory.tensorboard / name / EVENTS, _session(name, values, ended, None), ended)
    for number, (execution, rows) in enumerate(zip(result.executions, rows_of(directory, result), strict=True), 1):
        run = directory.tensorboard / name / (f"execution-{number}" if plan.executions > 1 else "")
        events = _session(name, values, ended, execution) + _curves(rows) + _judged(execution)
        _write(run / EVENTS, events, ended)


def _experiment(axes: Iterable[Axis], plan: SearchPlan) -> "Summary":
    """The head of the HParams table: its columns."""
    from tensorboard.plugins.hparams import api_pb2, metadata, plugin_data_pb2

    experiment = api_pb2.Experiment(description=f"{plan.oracle.algorithm} search for {plan.objective.name}")
    for axis in axes:
        column = experiment.hparam_infos.add(name=axis.name, type=_type(axis))
        if axis.places:
            column.domain_discrete.extend([_plain(axis, value) for value in axis.places])
        elif not axis.beside:
            column.domain_interval.min_value, column.domain_interval.max_value = axis.low, axis.high
    for name in dict.fromkeys((plan.objective.name, "val_loss", "val_accuracy", "seconds")):
        experiment.metric_infos.add(name=api_pb2.MetricName(tag=JUDGED + name), display_name=name)
    return _hparams(metadata.EXPERIMENT_TAG, plugin_data_pb2.HParamsPluginData(experiment=experiment))


def _session(
    name: str, values: Mapping[str, Any], ended: float, execution: Execution | None
) -> list[tuple[int, "Summary"]]:
    """A row of the table; the executions of one trial are its group, which the table shows as their mean."""
    from tensorboard.plugins.hparams import api_pb2, metadata, plugin_data_pb2

    seconds = execution.seconds if execution else 0.0
    start = plugin_data_pb2.SessionStartInfo(group_name=name, start_time_secs=ended - seconds)
    for key, value in values.items():
        kind = {bool: "bool_value", str: "string_value"}.get(type(value), "number_value")
        setattr(start.hparams[key], kind, value)
    succeeded = execution is not None and execution.score is not None
    status = api_pb2.STATUS_SUCCESS if succeeded else api_pb2.STATUS_FAILURE
    end = plugin_data_pb2.SessionEndInfo(status=status, end_time_secs=ended)
    return [
        (0, _hparams(metadata.SESSION_START_INFO_TAG, plugin_data_pb2.HParamsPluginData(session_start_info=start))),
        (0, _hparams(metadata.SESSION_END_INFO_TAG, plugin_data_pb2.HParamsPluginData(session_end_info=end))),
    ]


def _curves(rows: Rows) -> list[tuple[int, "Summary"]]:
    """What metrics.jsonl has of each epoch, under the same names."""
    return [(row["epoch"], _scalars({name: value for name, value in row.items() if name != "epoch"})) for row in rows]


def _judged(execution: Execution) -> list[tuple[int, "Summary"]]:
    """What the execution came to: the values of the epoch that counts, which is not always its last."""
    scalars = {**execution.metrics, "seconds": execution.seconds}
    return [(execution.epoch or 0, _scalars({JUDGED + name: value for name, value in scalars.items()}))]


def _scalars(values: Mapping[str, Any]) -> "Summary":
    from tensorboard.compat.proto.summary_pb2 import Summary

    numbers = {name: value for name, value in values.items() if isinstance(value, int | float) and math.isfinite(value)}
    return Summary(value=[Summary.Value(tag=name, simple_value=value) for name, value in numbers.items()])


def _hparams(tag: str, content: Any) -> "Summary":
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.plugins.hparams import metadata

    described = metadata.create_summary_metadata(content)
    return Summary(value=[Summary.Value(tag=tag, metadata=described, tensor=metadata.NULL_TENSOR)])


def _type(axis: Axis) -> int:
    from tensorboard.plugins.hparams import api_pb2

    if axis.places and all(isinstance(value, bool) for value in axis.places):
        return api_pb2.DATA_TYPE_BOOL
    return api_pb2.DATA_TYPE_FLOAT64 if _is_numeric(axis) else api_pb2.DATA_TYPE_STRING


def _plain(axis: Axis, value: Any) -> bool | float | str:
    """A value as the table knows it: numbers and booleans where all of the column are, else text."""
    if isinstance(value, bool) and all(isinstance(one, bool) for one in axis.places):
        return value
    return value if _is_numeric(axis) else value_text(value)


def _is_numeric(axis: Axis) -> bool:
    return not axis.beside and all(type(value) in (int, float) for value in axis.places)


def _write(path: Path, events: Iterable[tuple[int, "Summary"]], time: float) -> None:
    """An event file of (step, summary), whole; one that holds the same stays, since TensorBoard may be reading it."""
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.summary.writer.record_writer import RecordWriter

    content = io.BytesIO()
    writer = RecordWriter(content)
    writer.write(Event(wall_time=time, file_version="brain.Event:2").SerializeToString())
    for step, summary in events:
        writer.write(Event(wall_time=time, step=step, summary=summary).SerializeToString(deterministic=True))
    if path.is_file() and path.read_bytes() == content.getvalue():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(".events.tmp")  # not one that TensorBoard would take for events
    temporary.write_bytes(content.getvalue())
    files.sync(temporary)
    os.replace(temporary, path)
