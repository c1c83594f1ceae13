"""What workers say of a trial epoch by epoch: ours at its end, KerasTuner's own as it goes on, and no more after."""

import dataclasses
import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from tuning.curves import Rows
from tuning.oracles.proposal import Proposal
from tuning.plan import SearchPlan
from tuning.space.label import label
from tuning.trial import Execution, TrialResult

_MOST_METRICS, _MOST_STEPS, _MOST_EXECUTIONS = 100, 10_000, 100  # that a trial may report
_MOST_SENT = 20_000  # values that a worker tells at a trial's end: a quarter of the largest message


@dataclasses.dataclass(frozen=True)
class Reports:
    """Of one trial: metric -> step, which is an epoch to KerasTuner -> values, one an execution."""

    metrics: dict[str, dict[int, list[float]]] = dataclasses.field(default_factory=dict)

    def add(self, metrics: Mapping[str, float], step: int) -> None:
        """One more report; what is beyond all measure is passed over."""
        for name, value in metrics.items():
            if name in self.metrics or len(self.metrics) < _MOST_METRICS:
                steps = self.metrics.setdefault(name, {})
                if step in steps or len(steps) < _MOST_STEPS:
                    values = steps.setdefault(step, [])
                    values += [value] if len(values) < _MOST_EXECUTIONS else []

    @classmethod
    def of(cls, trial: Any) -> "Reports":
        """What one of our workers told with KerasTuner's trial."""
        reports = cls()
        for name, history in trial.metrics.metrics.items():
            for observation in history.observations:
                for value in observation.value:
                    reports.add({name: value}, observation.step)
        return reports

    def rows(self) -> list[Rows]:
        """The rows of each execution's `metrics.jsonl`, as far as they are known."""
        executions: list[dict[int, dict[str, float]]] = []
        for name, steps in self.metrics.items():
            for step, values in steps.items():
                executions += [{} for _ in range(len(values) - len(executions))]
                for rows, value in zip(executions, values, strict=False):
                    if math.isfinite(value):
                        rows.setdefault(step, {"epoch": step})[name] = value
        return [[rows[step] for step in sorted(rows)] for rows in executions]

    def result(
        self, plan: SearchPlan, proposal: Proposal, *, failed: bool, worker: str = "", seconds: float = 0.0
    ) -> TrialResult:
        """The result as KerasTuner counts it: of each step the mean, of the steps the best.

        Args:
            plan: Of the search.
            proposal: What was trained.
            failed: Whether the worker says so.
            worker: Its name; it has one slot.
            seconds: That it had the trial.
        """
        objective = plan.objective
        means = {
            name: {step: statistics.fmean(values) for step, values in steps.items()}
            for name, steps in self.metrics.items()
        }
        scores = {} if failed else means.get(objective.name, {})
        best = min(scores, key=lambda step: objective.sign * scores[step], default=None)
        score = None if best is None else scores[best]
        reason = "" if best is not None else "its worker says no more" if failed else f"no finite {objective.name}"
        execution = Execution(
            seed=plan.seed,
            score=score,
            epoch=best,
            metrics={name: steps[best] for name, steps in means.items() if best in steps},
            worker=worker,
            seconds=round(seconds, 3),
            reason=reason,
        )
        return TrialResult(
            number=proposal.number,
            values=proposal.values,
            label=label(plan.space, proposal.values),
            state="failed" if score is None else "done",
            score=score,
            reason=reason,
            epochs=proposal.epochs,
            parent=proposal.parent,
            executions=(execution,),
        )


def tell(trial: Any, executions: Sequence[Rows]) -> None:
    """Writes the numbers of each epoch into KerasTuner's trial: a history a metric, an observation an epoch.

    Args:
        trial: The message.
        executions: The rows of each. Where one has no such epoch, NaN keeps its place; of very many epochs some are
            left out.
    """
    numbers = [
        [{name: value for name, value in row.items() if _is_number(value)} for row in rows] for rows in executions
    ]
    by_epoch = [{row.pop("epoch"): row for row in rows} for rows in numbers]
    names = sorted({name for rows in numbers for row in rows for name in row})
    epochs = sorted(set().union(*by_epoch))
    every = math.ceil(max(1, len(epochs) * len(names) * len(executions)) / _MOST_SENT)
    for name in names:
        for epoch in epochs[::-every][::-1]:
            values = [rows.get(epoch, {}).get(name, math.nan) for rows in by_epoch]
            trial.metrics.metrics[name].observations.add(value=values, step=epoch)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
