"""A run's phases, one after the other, with all that watches and saves them."""

import contextlib
import dataclasses
import shlex
from collections.abc import Callable

from rich.console import Console

from base import signals
from models.training.callbacks import BestModel, standard_callbacks
from models.training.checkpoint import CheckpointFolder
from models.training.keeper import Keeper
from models.training.progress import Progress
from models.training.run_directory import RunDirectory
from models.training.snapshot import Snapshot
from models.training.step_clock import StepClock
from models.training.waiting import WaitingVerdict
from scripts.training.lost_batches import LostBatches
from scripts.training.phase import TrainingPhase, in_phase


def fit(
    now: TrainingPhase,
    start: Snapshot | None,
    run: RunDirectory,
    folder: CheckpointFolder,
    *,
    console: Console,
    writes: bool,
    warn: Callable[[str], None],
) -> tuple[TrainingPhase, BestModel]:
    """Trains to the end of the run.

    Args:
        now: The phase to begin or go on with.
        start: Where to go on from; None: at the run's beginning.
        run: The run's folder.
        folder: Its checkpoints.
        console: Where to say what happens.
        writes: Whether it is this process that writes the run.
        warn: Told what went wrong and could be survived.

    Returns:
        The last phase; the callback that knows the best epoch.

    Raises:
        KeyboardInterrupt: A signal has come, and the run is saved.
        And what `Trainer.fit` raises.
    """
    training = now.training
    options, phases = training.setting.options, training.phases
    best, callbacks = standard_callbacks(
        run,
        options["training"],
        validation=training.has_validation,
        model=training.model,
        stops_from=phases[-1].first,
        writes=writes,
        warn=warn,
    )
    if training.data.arrivals is not None:
        callbacks.append(LostBatches(training.data.arrivals, lambda text: console.print(text, soft_wrap=True)))
    progress, clock = Progress(console), StepClock(run)
    clocks = [clock] if writes else []
    with signals.held_back() as received, contextlib.closing(progress), contextlib.closing(clock):
        keeper = Keeper(
            folder,
            options["checkpoints"],
            replay=CheckpointFolder(run.replay, keep=1),
            received=received,
            peers=training.setting.hardware.heartbeat,
        )
        try:
            while True:
                keeper.phase = now.phase.number
                if len(phases) > 1:
                    console.print(f"{'training':>12}  {now.describe()}", soft_wrap=True)
                with now.watched():
                    now.trainer.fit(
                        now.training_feed(start.step if start else 0),
                        now.validation_feed(),
                        epochs=now.phase.until,
                        planned=phases[-1].until,
                        steps_per_call=options["training"].steps_per_call,
                        callbacks=[*clocks, progress, *_watching(now, run, console), *callbacks],
                        keeper=keeper,
                        start=start,
                    )
                if now.phase == phases[-1] or now.trainer.model.stop_training:
                    return now, best
                end = dataclasses.replace(now.trainer.snapshot(), phase=now.phase.number)
                now = in_phase(training, now.phase.number + 1)
                start = now.start_after(end)
        except KeyboardInterrupt:
            if keeper.saved_step:
                console.print(f"saved at step {keeper.saved_step}: the same command goes on from there")
            raise


def _watching(now: TrainingPhase, run: RunDirectory, console: Console) -> list[WaitingVerdict]:
    """What says that input is waited for; for stored features nobody waits long, whatever the share."""
    if now.on_features:
        return []
    data = now.training.setting.options["run"].data
    return [WaitingVerdict(console, _doctor(data, run), now.training.likely_to_be_slow)]


def _doctor(data: str, run: RunDirectory) -> str:
    """The command that says what a run waits for."""
    return f"scripts/doctor.py --data {shlex.quote(data)} --config {shlex.quote(str(run.config))}"
