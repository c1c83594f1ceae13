"""What a training that has ended comes to: its score, its times, and why it failed."""

import json
import math
import time
from pathlib import Path

from base.recipes import read_yaml
from tuning.plan import SearchPlan
from tuning.processes.slots import Slot
from tuning.processes.supervisor import Ended
from tuning.trial import RECIPE, RUN, Execution

CLOCK = "clock.json"  # in a run's folder: when its last process made its first step, and its last


def execution_of(
    plan: SearchPlan, folder: Path, ended: Ended, slot: Slot, *, seconds: float, began: float, idle: float | None
) -> Execution:
    """An execution, judged by what its run wrote.

    Args:
        plan: Of the search.
        folder: The execution's.
        ended: How its last process did.
        slot: Where it ran.
        seconds: That all of its processes were there.
        began: When the last one was asked for, by `time.monotonic`.
        idle: Seconds that the slot had been empty then; None: it was the slot's first.
    """
    is_judged = ended.exit_code == 0 or ended.stopped
    judged = plan.objective.judge(folder / RUN, last=plan.judges_last) if is_judged else None
    clock = _clock(folder / RUN, began)
    return Execution(
        seed=read_yaml(folder / RECIPE)["seed"],
        score=judged.score if judged else None,
        epoch=judged.epoch if judged else None,
        metrics=judged.metrics if judged else {},
        slot=slot.number,
        seconds=round(seconds, 3),
        to_first_step=clock.get("first_step") and round(clock["first_step"] - began, 3),
        after_last_step=clock.get("last_step") and round(time.monotonic() - clock["last_step"], 3),
        idle_before=None if idle is None else round(idle, 3),
        memory=ended.memory,
        reason=ended.reason or ("" if judged else f"no finite {plan.objective.name}"),
    )


def _clock(run: Path, began: float) -> dict[str, float]:
    """When the run's first and last steps ended, by `time.monotonic`; {} where this process made none."""
    try:
        clock = json.loads((run / CLOCK).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return clock if clock.get("first_step", -math.inf) >= began else {}
