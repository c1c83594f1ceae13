"""From measured stages to a verdict: what binds a training, what to change, what that would gain. Pure arithmetic.

The model is a queue whose stations share the cores. Alone with all cores a stage takes `wall` seconds an image, and
costs `cpu` seconds of the processors. Side by side all of them take

    max(the slowest stage before the device, what runs on the device, all CPU seconds / cores)

an image. The last term is what counts where the device is the CPU: there input and step live off the same cores, and
faster input gives the step the cores it has freed. A gain is the ratio of two such times, before and after, and never
more than what constant batches were seen to reach.
"""

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

WAITING = 0.10  # share of the time from which input is said to bind
_WORTH = 1.05  # gains below are noise
_LONG = 3.0  # seconds at the start that are worth a remedy

Where = Literal["host", "copy", "device"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Stage:
    """One stage, measured alone with all cores."""

    name: str  # read, parse, decode, resize, batch, copy, augmentation, step
    wall: float  # seconds an image, above 0
    cpu: float  # CPU seconds an image, of all threads
    where: Where = "host"
    once: bool = False  # at the start of a run, not for every batch

    def share_of_cores(self, cores: int) -> float:
        """CPU time over wall time x cores, 0 to 1."""
        return self.cpu / (self.wall * cores)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Machine:
    """What the stages share."""

    cores: int
    shared: bool  # the step, too, runs on these cores


@dataclasses.dataclass(frozen=True, kw_only=True)
class Training:
    """What was seen in a short real training."""

    images_per_second: float
    waiting: float  # share of the time, 0 to 1
    ceiling: float  # images/s of the same loop on constant batches
    idle: float = 0.0  # the share that even then goes by between batches; no faster input could mend it


@dataclasses.dataclass(frozen=True, kw_only=True)
class Start:
    """What a resident reader does before the first step."""

    seconds: float
    images: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Remedy:
    """A change that was tried on a sample."""

    do: str  # in the imperative
    stages: tuple[Stage, ...]  # measured with the change; each replaces the stage of its name


class Gain(NamedTuple):
    """What a remedy would bring."""

    do: str
    training: float  # how many times as fast
    start: float  # how many times sooner a resident reader's first step


@dataclasses.dataclass(frozen=True, kw_only=True)
class Verdict:
    """What binds, and what would help."""

    kind: Literal["input", "copy", "step"]
    stage: str  # that binds
    sentence: str
    gains: tuple[Gain, ...]  # the best for training first


def diagnose(
    stages: Sequence[Stage],
    training: Training,
    machine: Machine,
    remedies: Sequence[Remedy] = (),
    start: Start | None = None,
) -> Verdict:
    """The verdict on one pipeline.

    Args:
        stages: All of them, in their order.
        training: What was seen when they ran together.
        machine: What they ran on.
        remedies: What was tried, the cheapest for the user first: of two that gain the same the first is named.
        start: Of a resident reader.
    """
    waits = training.waiting - training.idle > WAITING
    binding = max(
        (stage for stage in _of_each_batch(stages) if (stage.where != "device") == waits), key=lambda stage: stage.wall
    )
    limit = max(1.0, training.ceiling / training.images_per_second)
    gains = [_gain(stages, remedy, machine, limit) for remedy in remedies]
    gains = sorted(gains, key=lambda gain: -round(gain.training, 1))
    kind = "step" if not waits else "copy" if binding.where == "copy" else "input"
    said = _input_bound if waits else _step_bound
    sentence = said(binding, stages, training, machine) + _best(gains, limit if waits else None)
    if start is not None:
        sentence += _start(start, gains)
    return Verdict(kind=kind, stage=binding.name, sentence=sentence, gains=tuple(gains))


def seconds_an_image(stages: Iterable[Stage], machine: Machine) -> float:
    """What the stages take side by side, those of the start left out; see the module's text."""
    stages = _of_each_batch(stages)
    before = max((stage.wall for stage in stages if stage.where != "device"), default=0.0)
    on_device = sum(stage.wall for stage in stages if stage.where == "device")
    return max(before, on_device, sum(stage.cpu for stage in stages) / machine.cores)


def cpu_share(stage: Stage, stages: Iterable[Stage]) -> float:
    """The stage's part of all CPU time that an image of every batch costs, 0 to 1."""
    return stage.cpu / sum(other.cpu for other in _of_each_batch(stages))


def _of_each_batch(stages: Iterable[Stage]) -> list[Stage]:
    return [stage for stage in stages if not stage.once]


def _changed(stages: Sequence[Stage], remedy: Remedy) -> list[Stage]:
    new = {stage.name: stage for stage in remedy.stages}
    return [new.get(stage.name, stage) for stage in stages]


def _gain(stages: Sequence[Stage], remedy: Remedy, machine: Machine, limit: float) -> Gain:
    changed = _changed(stages, remedy)
    training = seconds_an_image(stages, machine) / seconds_an_image(changed, machine)
    start = _at_the_start(stages, machine) / _at_the_start(changed, machine) if any(s.once for s in stages) else 1.0
    return Gain(remedy.do, min(limit, training), start)


def _at_the_start(stages: Sequence[Stage], machine: Machine) -> float:
    return seconds_an_image([dataclasses.replace(stage, once=False) for stage in stages if stage.once], machine)


def _input_bound(binding: Stage, stages: Sequence[Stage], training: Training, machine: Machine) -> str:
    waiting = f"{_percent(training.waiting)} of the step is spent waiting"
    if binding.where == "copy":
        return f"copy-bound: {waiting}; the copy to the device takes {binding.wall * 1e3:.3g} ms an image"
    place = " on the host" if binding.name == "augmentation" else ""
    if binding.share_of_cores(machine.cores) < 0.25:  # it waits itself
        cost = f"{binding.name}{place} takes {binding.wall * 1e3:.3g} ms an image, and leaves the cores idle"
    else:
        cost = f"{binding.name}{place} is {_percent(cpu_share(binding, stages))} of the CPU"
    return f"input-bound: {waiting}; {cost}"


def _step_bound(binding: Stage, stages: Sequence[Stage], training: Training, machine: Machine) -> str:
    host = [stage for stage in _of_each_batch(stages) if stage.where != "device"]
    input_alone = seconds_an_image(host, machine)
    factor = 1 / training.ceiling / input_alone
    text = f"step-bound: input is not what binds, {_percent(training.waiting)} of the step is spent waiting"
    if factor > 1:
        times = f"{factor:,.0f}" if factor >= 10 else f"{factor:.1f}"
        text += f"; the step would have to get {times} times faster before input could bind"
    if binding.name == "augmentation":
        text += "; on the device the augmentation takes longer than the rest of the step"
    if machine.shared:
        host_cpu, cpu = (sum(stage.cpu for stage in part) for part in (host, _of_each_batch(stages)))
        text += f"; input takes {_percent(host_cpu / cpu)} of the CPU that both share"
    return text


def _best(gains: Sequence[Gain], limit: float | None) -> str:
    """`limit`: what constant batches gain, where input binds."""
    if gains and gains[0].training > _WORTH:
        return f"; {gains[0].do}: about {gains[0].training:.1f} times"
    if limit is None:
        return ""
    tried = "nothing that was tried helps" if gains else "there was no remedy to try"
    return f"; {tried} (constant batches: {limit:.1f} times); --apply looks for better settings"


def _start(start: Start, gains: Sequence[Gain]) -> str:
    """The start has a remedy of its own: what is done once can't bind the training, but is waited for."""
    seconds = f"{start.seconds:,.0f}" if start.seconds >= 10 else f"{start.seconds:.1f}"
    text = f". The start takes about {seconds} s, in which {start.images:,} images are read and decoded once"
    best = max(gains, key=lambda gain: round(gain.start, 1), default=None)
    if best is None or best.start < 1.5 or start.seconds < _LONG:
        return text
    return f"{text} ({best.do}: about {best.start:.1f} times sooner)"


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"
