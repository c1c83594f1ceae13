"""How a backbone is trained: its features frozen, fine-tuned, or one after the other. Free of TensorFlow.

A run has stages, each with the learning-rate schedule from its beginning; a stage has phases, in each of which the same
layers are trained.
"""

import dataclasses
import re
from collections.abc import Sequence
from typing import Literal

from base.errors import input_error, require
from base.options import option
from models.backbones.freezing import require_form


@dataclasses.dataclass(frozen=True, kw_only=True)
class FineTuningOptions:
    """What is trained of a backbone, and when."""

    unfreeze: tuple[str, ...] = option(
        ("all",),
        "layers of the backbone that are trained: all, none, a share counted from the output (0.3), a number of layers "
        "(20), or all from a block on, by its name; gradually: none:2 0.1:5 0.3 is none until epoch 2, a tenth until 5",
    )
    stages: str | None = option(
        None,
        "head:5,finetune:10 trains the head for 5 epochs with the backbone frozen, then for 10 what --unfreeze says; "
        "each stage has an optimizer and a schedule of its own, and their sum is the number of epochs",
    )
    finetune_rate: float = option(1.0, "factor on the learning rate where layers of the backbone are trained")
    first_layer_rate: float = option(
        1.0,
        "discriminative learning rates (Howard, Ruder 2018): that of the first layer as a share of the head's; those "
        "between are in geometric progression",
    )
    freeze_batch_norm: bool = option(
        False, "batch normalisation of the backbone keeps its moving averages in the layers that are trained, too"
    )
    features: Literal["auto", "live", "stored"] = option(
        "auto",
        "where the whole backbone is frozen: compute its features once and store them beside the data, or in every "
        "step; auto: stored where nothing augments; stored leaves out the augmentation there",
    )

    def __post_init__(self) -> None:
        require(self.unfreeze != (), "Expected --unfreeze with all, none, a share, a number of layers, or a block")
        for what, _ in self._steps:
            require_form(what)
        for name in ("finetune_rate", "first_layer_rate"):
            value = getattr(self, name)
            require(0 < value <= 1, f"Expected --{name.replace('_', '-')} above 0, at most 1", **{name: value})
        _read_stages(self.stages)

    @property
    def is_default(self) -> bool:
        """Whether everything is trained, as of a model that is no backbone."""
        return self == FineTuningOptions(features=self.features)

    @property
    def epochs(self) -> int | None:
        """Of all stages; None where there are none."""
        return sum(epochs for _, epochs in _read_stages(self.stages)) if self.stages else None

    def phases(self, epochs: int) -> tuple["Phase", ...]:
        """The phases of a run, in order.

        Args:
            epochs: Of the run.

        Raises:
            InputError: What is to be unfrozen at some time has no epoch.

        Example:
            >>> options = FineTuningOptions(stages="head:2,finetune:4", unfreeze=("0.1:3", "0.3"))
            >>> [(phase.first, phase.until, phase.unfreeze) for phase in options.phases(6)]
            [(0, 2, 'none'), (2, 3, '0.1'), (3, 6, '0.3')]
        """
        phases: list[Phase] = []
        used: list[tuple[str, int | None]] = []
        begin = 0
        for name, length in _read_stages(self.stages) or [("finetune", epochs)]:
            end = begin + length
            steps = [("none", end)] if name == "head" else self._steps
            first = begin
            for what, until in steps:
                if first < (last := min(until or end, end)):
                    phases.append(Phase(len(phases), first, last, what, (begin, end)))
                    used += [] if name == "head" else [(what, until)]
                    first = last
            begin = end
        asked = [] if not used and self.unfreeze == ("all",) else self._steps  # stages of the head alone leave it open
        unused = [f"{what}:{until}" if until else what for what, until in asked if (what, until) not in used]
        require(not unused, "Expected --unfreeze with an epoch for each of its parts", unused=unused, epochs=epochs)
        return tuple(phases)

    @property
    def _steps(self) -> list[tuple[str, int | None]]:
        """(what, epochs of the run that are done when it ends), the last one without an end."""
        return _read_steps(self.unfreeze)


@dataclasses.dataclass(frozen=True)
class Phase:
    """Epochs in which the same layers are trained.

    Attributes:
        number: Among the run's, from 0.
        first: Epochs of the run that are done when it begins.
        until: ... and when it ends.
        unfreeze: As `freezing.unfrozen` takes it.
        stage: (first, until) of the stage that it is a part of.
    """

    number: int
    first: int
    until: int
    unfreeze: str
    stage: tuple[int, int]

    @property
    def is_frozen(self) -> bool:
        """Whether the whole backbone is frozen."""
        return self.unfreeze == "none"

    def cut_to_an_epoch(self) -> "Phase":
        """The same as if each phase before, and this one, had a single epoch."""
        return dataclasses.replace(self, first=self.number, until=self.number + 1)


def _read_steps(texts: Sequence[str]) -> list[tuple[str, int | None]]:
    steps: list[tuple[str, int | None]] = []
    for place, text in enumerate(texts):
        what, colon, until = text.partition(":")
        last = place == len(texts) - 1
        before = steps[-1][1] if steps else 0
        good = not colon if last else re.fullmatch(r"\d+", until) is not None and int(until) > before
        require(
            bool(good),
            "Expected --unfreeze gradually as none:2 0.1:5 0.3: each but the last with a later epoch than the one "
            "before it, until which it holds",
            unfreeze=" ".join(texts),
        )
        nothing = re.fullmatch(r"0+\.?0*", what) is not None
        steps.append(("none" if nothing else what, None if last else int(until)))
    return steps


def _read_stages(text: str | None) -> list[tuple[str, int]]:
    """(name, epochs) of each stage."""
    stages = []
    for part in re.split(r"[,\s]+", text.strip()) if text is not None else []:
        match = re.fullmatch(r"(head|finetune):([1-9]\d*)", part)
        if match is None:
            raise input_error('Expected --stages as "head:5,finetune:10", with epochs of at least 1', stages=text)
        stages.append((match[1], int(match[2])))
    return stages
