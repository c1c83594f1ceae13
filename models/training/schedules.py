"""Learning-rate schedules: factors on the optimizer's learning rate, one for each step. Free of TensorFlow.

They are factors so that what else changes the learning rate, as ReduceLROnPlateau does, combines with them.
"""

import dataclasses
import math
import re
from typing import Literal

import numpy as np

from base.errors import input_error, require
from base.options import option

ScheduleName = Literal["constant", "step", "exponential", "polynomial", "cosine", "one_cycle"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class ScheduleOptions:
    """How the learning rate changes over the run. Durations: "5 epochs", "500 steps", or a number of epochs."""

    schedule: ScheduleName = option("constant", "of the learning rate, after the warm-up")
    warmup: str = option("0", 'rise linearly to the learning rate for so long: "3 epochs", "500 steps", "0.5"')
    schedule_length: str | None = option(None, "warm-up and schedule together; by default the whole run")
    decay_every: str = option("30", "of step: how long a stair is")
    decay_rate: float = option(0.1, "of step: factor of each stair; of exponential: factor over the whole length")
    final_factor: float = option(0.0, "of polynomial, cosine and one_cycle: the factor at the end")
    power: float = option(1.0, "of polynomial; 1 is linear")
    cycle_start: float = option(0.04, "of one_cycle: the factor at its start")
    cycle_peak: float = option(0.3, "of one_cycle: the share of its length until the factor is 1")

    @property
    def depends_on_epochs(self) -> bool:
        """Whether the factor of a step is another one in a longer run."""
        return self.schedule not in ("constant", "step") and self.schedule_length is None

    def __post_init__(self) -> None:
        for name in ("warmup", "schedule_length", "decay_every"):
            value = getattr(self, name)
            if value is not None:
                Duration.read(value, name)
        require(0 < self.decay_rate <= 1, "Expected --decay-rate above 0, at most 1", decay_rate=self.decay_rate)
        for name in ("final_factor", "cycle_start"):
            value = getattr(self, name)
            require(0 <= value <= 1, f"Expected --{name.replace('_', '-')} from 0 to 1", **{name: value})
        require(self.power > 0, "Expected --power above 0", power=self.power)
        require(0 < self.cycle_peak < 1, "Expected --cycle-peak between 0 and 1", cycle_peak=self.cycle_peak)
        constant = self.schedule == "constant" and Duration.read(self.warmup, "warmup").amount == 0
        require(
            self.schedule_length is None or not constant,
            "Expected a --schedule or --warmup with --schedule-length",
            schedule_length=self.schedule_length,
        )


@dataclasses.dataclass(frozen=True)
class Duration:
    """A time of training."""

    amount: float
    unit: Literal["epochs", "steps"]

    @classmethod
    def read(cls, text: str, name: str) -> "Duration":
        """Reads "5 epochs", "500 steps" or "5", which are epochs too.

        Raises:
            InputError: It is none of them; `name` is the option's.
        """
        match = re.fullmatch(r"\s*(\d+\.?\d*(?:[eE][+-]?\d+)?)\s*(epochs?|steps?)?\s*", str(text))
        if match is None:
            raise input_error(f'Expected --{name.replace("_", "-")} like "5 epochs" or "500 steps"', **{name: text})
        return cls(float(match[1]), "steps" if (match[2] or "").startswith("step") else "epochs")

    def steps(self, steps_an_epoch: float) -> int:
        """In whole steps."""
        return round(self.amount * (steps_an_epoch if self.unit == "epochs" else 1))


def factors(options: ScheduleOptions, steps_an_epoch: float, steps: int) -> np.ndarray | None:
    """The factor of each step of a run.

    Args:
        options: Of the schedule.
        steps_an_epoch: Examples / batch size; need not be whole.
        steps: Of the whole run.

    Returns:
        float32 `[length]`, from 0 to 1; steps beyond its end keep the last one. None: always 1.

    Raises:
        InputError: The schedule is longer than the run, or the warm-up longer than the schedule.

    Example:
        >>> print(factors(ScheduleOptions(schedule="cosine", warmup="2 steps"), 10.0, 6).round(2))
        [0.5  1.   1.   0.85 0.5  0.15]
    """
    warmup = Duration.read(options.warmup, "warmup").steps(steps_an_epoch)
    if options.schedule == "constant" and warmup == 0:
        return None
    length = steps
    if options.schedule_length is not None:
        length = Duration.read(options.schedule_length, "schedule_length").steps(steps_an_epoch)
        require(
            length <= steps,
            f"Expected a --schedule-length of at most the run's {steps:,} steps",
            schedule_length=options.schedule_length,
            steps=length,
        )
    require(
        warmup < length or (warmup == length and options.schedule == "constant"),
        f"Expected a --warmup shorter than the schedule's {length:,} steps",
        warmup=options.warmup,
        steps=warmup,
    )
    rising = np.arange(1, warmup + 1) / max(warmup, 1)
    return np.concatenate([rising, _after_warmup(options, length - warmup, steps_an_epoch)]).astype(np.float32)


def _after_warmup(options: ScheduleOptions, steps: int, steps_an_epoch: float) -> np.ndarray:
    """float64 `[steps]`."""
    step = np.arange(steps)
    done = step / max(steps, 1)  # from 0; 1 would be the step after the last
    final = options.final_factor
    match options.schedule:
        case "constant":
            return np.ones(steps)
        case "step":
            every = Duration.read(options.decay_every, "decay_every").steps(steps_an_epoch)
            require(every >= 1, "Expected --decay-every of at least one step", decay_every=options.decay_every)
            return options.decay_rate ** (step // every)
        case "exponential":
            return options.decay_rate**done
        case "polynomial":
            return final + (1 - final) * (1 - done) ** options.power
        case "cosine":  # Loshchilov, Hutter: SGDR (2016), https://arxiv.org/abs/1608.03983, without restarts
            return final + (1 - final) * (1 + np.cos(math.pi * done)) / 2
        case "one_cycle":  # Smith, Topin: Super-Convergence (2017), https://arxiv.org/abs/1708.07120, cosine both ways
            rise = (1 - np.cos(math.pi * np.minimum(done / options.cycle_peak, 1))) / 2
            fall = (1 + np.cos(math.pi * np.clip((done - options.cycle_peak) / (1 - options.cycle_peak), 0, 1))) / 2
            start = options.cycle_start
            return np.where(done < options.cycle_peak, start + (1 - start) * rise, final + (1 - final) * fall)
