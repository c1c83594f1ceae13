#!/usr/bin/env python
"""Trains and evaluates a model: `scripts/train.py --data DIR --run RUN [--config RECIPE]`."""

import contextlib
import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from base import command, files, native_log
from base.errors import require
from base.options import neutral_names, to_dict
from models.training.run_directory import RunDirectory
from pipelines.images.input_options import InputOptions
from pipelines.manifest import Manifest, read_manifest
from scripts.training import going_on, rehearsals
from scripts.training.options import RunOptions, parse_options


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    return command.run(_main, argv)


def _main(argv: Sequence[str] | None) -> None:
    options = parse_options(argv)
    own: RunOptions = options["run"]
    manifest = read_manifest(Path(own.data))
    manifest.split("train", Path(own.data))
    job = Job(options, manifest, _judge(own, manifest), Console(highlight=False))
    if own.find_lr is not None:
        with native_log.captured():
            rehearsals.find_rate(options, manifest, job.console)
    elif own.dry_run:
        # Features would take a pass over all images, and stay.
        unstored = dataclasses.replace(options["fine-tuning"], features="live")
        job.options = {**options, "fine-tuning": unstored}
        with rehearsals.passing_run(own.run) as run, native_log.captured() as log:
            job.train(run, log)
        job.console.print("dry run: a step was trained, evaluated and saved; what it wrote is removed")
    else:
        run = RunDirectory(Path(own.run))
        if job.writes:
            files.require_writable(run.path.absolute().parent, "run")
        with run.locked() if job.writes else contextlib.nullcontext():
            if own.replay:
                job.replay(run)
                return
            job.train_unless_finished(run)
        job.print_result(run)


class Job:
    """One call of the command.

    Args:
        options: Title -> instance.
        manifest: Of the data set.
        judge: The split that judges, or None.
        console: Where to say what happens.
    """

    def __init__(self, options: dict[str, Any], manifest: Manifest, judge: str | None, console: Console) -> None:
        self.options, self.manifest, self.judge, self.console = options, manifest, judge, console
        self._neutral = neutral_names(options.values())
        self._identities = going_on.identities_of(options, manifest)
        self.writes = going_on.is_first(options["hardware"])
        # As they were asked for: what the first worker adopts from its run the others may not see.
        self._agreement = going_on.agreement_of(options, self._identities)

    def train_unless_finished(self, run: RunDirectory) -> None:
        """Trains, from the newest checkpoint where there is one."""
        # Another worker may have no view of the first one's folder.
        state = self._state(run) if self.writes or run.config.is_file() else "new"
        if state == "finished":
            self.console.print(f"finished already: {run.path}", soft_wrap=True)
            return
        if state == "unfinished":
            self.options = going_on.adopted(self.options, run.chosen())
        with native_log.captured() as log:
            self.train(run, log, goes_on=state == "unfinished")

    def replay(self, run: RunDirectory) -> None:
        """Shows the step at which the run failed."""
        several = self.options["hardware"].strategy == "multi_worker"
        require(not several, "Expected --replay without --strategy multi_worker: a step is replayed by one process")
        require(
            self._state(run) == "unfinished",
            "Expected with --replay a run that has failed at a step",
            run=str(run.path),
        )
        self.options = going_on.adopted(self.options, run.chosen())
        with native_log.captured():
            from models.training.hardware import prepare
            from scripts.training.phase import in_phase
            from scripts.training.replay import failed_at
            from scripts.training.training import training_of

            hardware = prepare(self.options["hardware"])
            training = training_of(self.options, self.manifest, hardware)
            start = failed_at(run.replay)
            said = in_phase(training, start.phase).replayed(start)
        self.console.print(said, markup=False, soft_wrap=True)

    def _state(self, run: RunDirectory) -> str:
        return run.state(
            going_on.asked_of(self.options),
            self._identities,
            overwrite=self.options["run"].overwrite,
            longer=not self.options["schedule"].depends_on_epochs,
        )

    def train(self, run: RunDirectory, log: native_log.NativeLog, *, goes_on: bool = False) -> None:
        """Trains, with the other workers where there are several."""
        # TensorFlow takes seconds to import, and what could be refused without it has been.
        from models.training.hardware import prepare
        from models.training.together import together

        hardware = prepare(self.options["hardware"], self._agreement)
        with together(hardware.heartbeat):
            self._train(run, log, hardware, goes_on=goes_on)

    def _train(self, run: RunDirectory, log: native_log.NativeLog, hardware: Any, *, goes_on: bool) -> None:
        """The story of a training."""
        from models.training.callbacks import metrics_rows
        from scripts.training.fitting import fit
        from scripts.training.phase import in_phase
        from scripts.training.training import training_of

        training = training_of(self.options, self.manifest, hardware)
        if self.options["run"].dry_run:
            training = training.cut_to_a_step()
        config, environment = self._config(training), training.environment(self._identities)
        folder, start = self._start(run, training, config, goes_on=goes_on)
        first = in_phase(training, start.phase if start else 0)
        if self.writes:
            # Only now: all that could be refused has been.
            rows = metrics_rows(start) if start else []
            if goes_on and start:
                run.go_on(config, environment, rows=rows, neutral=self._neutral)
            else:
                run.create(config, environment, rows=rows)
            log.keep_in(run.log)
        self._say(first, start)
        last, best = fit(first, start, run, folder, console=self.console, writes=self.writes, warn=self._warn)
        self._finish(run, last, best)

    def _start(self, run: RunDirectory, training: Any, config: dict[str, Any], *, goes_on: bool) -> tuple[Any, Any]:
        """The run's checkpoints, and the snapshot to start from; None: at the beginning."""
        from models.training.broadcast import broadcast
        from models.training.checkpoint import CheckpointFolder

        folder = CheckpointFolder(
            run.checkpoints,
            keep=self.options["checkpoints"].checkpoints,
            fingerprint=going_on.fingerprint_of(config, self._identities, self._neutral),
            warn=self._warn,
        )
        # A worker that stood in for the first one, when that was lost, may have saved last.
        newest = folder.load_newest() if goes_on or not self.writes else None
        start = broadcast(training.setting.hardware, newest) or going_on.taken_over(self.options, training)
        return folder, start

    def _finish(self, run: RunDirectory, last: Any, best: Any) -> None:
        """Judges and saves the weights that are wanted."""
        from models.training.report import write_report
        from models.training.saving import save_model

        judged_by_best = self.options["training"].final == "best" and best.epoch is not None
        training = last.training
        last.settle(run.best if judged_by_best else None)
        if judged_by_best:
            self.console.print(f"best epoch: {best.epoch} (val_loss {best.loss:.4f})")
        if self.judge is not None:
            with training.data.reading():
                self._evaluate(last, run)
        if self.writes:
            for finding in write_report(run):
                self.console.print(f"seen: {finding}", soft_wrap=True)
            save_model(training.model, training.setting.head, run.model, last.trainer.loss_scale)

    def print_result(self, run: RunDirectory) -> None:
        """What came out of a finished run."""
        if not self.writes:
            print("finished: the first worker has the run")
            return
        if self.judge is None:
            print("evaluation: none")
        else:
            report = json.loads(run.evaluation.read_text(encoding="utf-8"))
            loss = "not finite" if report["loss"] is None else f"{report['loss']:.4f}"
            print(f"{self.judge} accuracy {report['accuracy']:.4f}, loss {loss} on {report['examples']:,} examples")
        print(f"run: {run.path}")

    def _config(self, training: Any) -> dict[str, Any]:
        """Every option, resolved."""
        setting, options, data = training.setting, self.options, training.data_of(training.phases[0])
        chosen = {
            "input": InputOptions(
                image_size=setting.spec.image_size, channels=setting.spec.channels, fit=setting.spec.fit
            ),
            "reading": options["reading"] if setting.synthetic else data.options("train"),
            "hardware": setting.hardware.options,
        }
        return {**to_dict(*{**options, **chosen}.values()), "evaluate_on": self.judge or "none"}

    def _warn(self, text: str) -> None:
        self.console.print(f"warning: {text}", soft_wrap=True)

    def _say(self, phase: Any, start: Any) -> None:
        """What is really on."""
        console, training = self.console, phase.training
        for text in self.manifest.warnings:
            self._warn(text)
        for title, text in training.really_on().items():
            console.print(f"{title:>12}  {text}", soft_wrap=True)
        if start is not None:
            console.print(f"{'going on':>12}  from step {start.step:,}, in epoch {start.epoch + 1}")
        width = min(console.width, 100)
        training.model.summary(line_length=width, print_fn=lambda text: console.print(text, markup=False))

    def _evaluate(self, last: Any, run: RunDirectory) -> None:
        from models.evaluation import evaluation_report

        result = last.whole.evaluate(last.training.evaluation_feed(self.judge))
        report = evaluation_report(
            *(result[name] for name in ("scores", "label", "loss")),
            self.manifest.classes,
            self.judge,
            probable=last.training.setting.head.is_probable,
        )
        if self.writes:
            files.write_json(run.evaluation, report)


def _judge(options: RunOptions, manifest: Manifest) -> str | None:
    """The split that judges, or None."""
    if options.evaluate_on == "none" or options.synthetic:
        return None
    if options.evaluate_on is not None:
        manifest.split(options.evaluate_on, Path(options.data))
        return options.evaluate_on
    return next((name for name in ("test", "validation") if name in manifest.splits), None)


if __name__ == "__main__":
    command.end(main())
