"""What KerasTuner's own workers say of a trial: metrics after some steps, and at the end no more than how it went."""

import dataclasses
import statistics
from collections.abc import Mapping

from tuning.oracles.proposal import Proposal
from tuning.plan import SearchPlan
from tuning.space.label import label
from tuning.trial import Execution, TrialResult

_MOST_METRICS, _MOST_STEPS, _MOST_EXECUTIONS = 100, 10_000, 100  # that a trial may report


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

    def result(self, plan: SearchPlan, proposal: Proposal, *, failed: bool) -> TrialResult:
        """The result as KerasTuner counts it: of each step the mean, of the steps the best.

        Args:
            plan: Of the search.
            proposal: What was trained.
            failed: Whether the worker says so.
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
