#!/usr/bin/env python
"""Trains and evaluates a model: `scripts/train.py --data DIR --run RUN [--config RECIPE]`."""

import dataclasses
import json
import shlex
import sys
import typing
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from rich.console import Console

from base import command, native_log, signals
from base.options import option, parse, to_dict
from models.cnn_options import CNNOptions
from models.heads import HeadOptions
from models.training.options import HardwareOptions, OptimizerOptions, TrainingOptions
from models.training.run_directory import RunDirectory
from pipelines.augment.generator_options import GeneratorOptions
from pipelines.augment.options import AugmentOptions
from pipelines.input_options import InputOptions
from pipelines.manifest import Manifest, read_manifest
from pipelines.reader_options import ReaderOptions


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunOptions:
    """What to train on, where to, and how it is judged."""

    data: str = option(help="a dataset folder, made by build_tfrecords.py")
    run: str = option(help="the run's folder")
    model: Literal["cnn"] = option("cnn", "the architecture")
    evaluate_on: str | None = option(
        None, "the split that judges: by default test, else validation; none: no evaluation"
    )
    overwrite: bool = option(False, "replace a run of other options")
    synthetic: bool = option(
        False, "constant batches of random pixels in place of the data, nothing is evaluated: how fast it could be"
    )


GROUPS = {
    "run": RunOptions,
    "input": InputOptions,
    "reading": ReaderOptions,
    "augmentation": AugmentOptions,
    "generator": GeneratorOptions,
    "cnn": CNNOptions,
    "head": HeadOptions,
    "optimizer": OptimizerOptions,
    "training": TrainingOptions,
    "hardware": HardwareOptions,
}


def recipe_groups(own: type) -> dict[str, type]:
    """The option groups of another command that takes train.py's recipes, and what a run's config.yaml says.

    Args:
        own: The command's own options; of those that concern the run alone, what it does not have goes unused.
    """
    kinds, known = typing.get_type_hints(RunOptions), {field.name for field in dataclasses.fields(own)}
    unused = [
        (field.name, kinds[field.name] | None, option(None, "of train.py; goes unused"))
        for field in dataclasses.fields(RunOptions)
        if field.name not in known
    ]
    unused_options = dataclasses.make_dataclass("UnusedOptions", unused, frozen=True, kw_only=True)
    return {"of the run": unused_options, **{title: group for title, group in GROUPS.items() if title != "run"}}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    return command.run(_main, argv)


def _main(argv: Sequence[str] | None) -> None:
    options = parse("train.py", "Trains and evaluates an image classifier.", GROUPS, argv)
    manifest = read_manifest(Path(options["run"].data))
    run = RunDirectory(Path(options["run"].run))
    judge = _judge(options["run"], manifest)
    manifest.split("train", Path(options["run"].data))
    asked = {name: value for name, value in to_dict(*options.values()).items() if name not in ("run", "overwrite")}
    if run.is_finished(asked, manifest.fingerprint, overwrite=options["run"].overwrite):
        print(f"finished already: {run.path}")
    else:
        with native_log.captured() as log:
            _train(options, manifest, run, judge, log)
    _print_result(run, judge)


def _train(
    options: dict[str, Any], manifest: Manifest, run: RunDirectory, judge: str | None, log: native_log.NativeLog
) -> None:
    # TensorFlow takes seconds to import, and what could be refused without it has been.
    from models.training.callbacks import EndOnSignal, standard_callbacks
    from models.training.progress import Progress
    from models.training.saving import save_model
    from models.training.trainer import Trainer
    from models.training.waiting import WaitingVerdict
    from scripts import assembly, feeds

    training: TrainingOptions = options["training"]
    console = Console(highlight=False)
    setting = assembly.setting_of(options, manifest, synthetic=options["run"].synthetic)
    data = feeds.Data(
        Path(options["run"].data),
        manifest,
        setting.spec,
        setting.parts,
        options["reading"],
        setting.policy,
        setting.seed,
    )
    augmentation = assembly.build_augmentation(setting, cropped=data.cropped)
    train_feed, validation_feed = _feeds(setting, data, augmentation)
    standardisation = assembly.standardisation_of(setting, data)
    model = assembly.build_model(setting, standardisation)
    _say_and_save(console, run, log, setting, data, standardisation, judge)
    model.summary(line_length=min(console.width, 100), print_fn=lambda text: console.print(text, markup=False))

    weights, callbacks = standard_callbacks(run, training, validation=validation_feed is not None)
    trainer = Trainer(model, setting.head, setting.hardware, augment=None if setting.on_host else augmentation)
    progress = Progress(console)
    verdict = WaitingVerdict(console, _doctor(options["run"].data, run), _likely_to_be_slow(setting, data))
    try:
        with data.reading(), signals.held_back() as received:
            trainer.fit(
                train_feed,
                validation_feed,
                epochs=training.epochs,
                steps_per_call=training.steps_per_call,
                callbacks=[EndOnSignal(received), progress, verdict, *callbacks],
            )
    finally:
        progress.close()

    if training.final == "best" and weights.best_epoch is not None:
        model.load_weights(run.best_weights)
        console.print(f"best epoch: {weights.best_epoch} (val_loss {weights.best_loss:.4f})")
    if judge is not None:
        with data.reading():
            _evaluate(trainer, data.evaluation(judge), manifest, run, judge)
    save_model(model, setting.head, run.model, trainer.loss_scale)


def _feeds(setting: Any, data: Any, augmentation: Any) -> tuple[Any, Any]:
    """The feeds of training and validation; the latter is None where there is nothing to judge by."""
    from scripts import feeds

    on_host = augmentation if setting.on_host else None
    if setting.synthetic:
        shape = data.training_frames.shape
        return feeds.synthetic_feed(setting.manifest, shape, setting.parts, setting.seed, augmentation=on_host), None
    training = data.training("train")
    validation = data.evaluation("validation") if "validation" in setting.manifest.splits else None
    return feeds.augmented_on_host(training, on_host) if on_host else training, validation


def _say_and_save(
    console: Console, run: RunDirectory, log: Any, setting: Any, data: Any, standardisation: Any, judge: str | None
) -> None:
    """Makes the run's folder; says, there and on the console, what is really on."""
    from scripts import assembly, feeds

    really_on = {
        **setting.hardware.describe(),
        **({"data": feeds.SYNTHETIC} if setting.synthetic else data.describe()),
        "augmentation": assembly.describe_augmentation(setting),
        "standardised": standardisation.describe(),
    }
    options, spec = setting.options, setting.spec
    chosen = {
        "input": InputOptions(image_size=spec.image_size, channels=spec.channels, fit=spec.fit),
        "reading": options["reading"] if setting.synthetic else data.options("train"),
        "hardware": setting.hardware.options,
    }
    resolved = to_dict(*{**options, **chosen}.values())
    environment = assembly.environment(setting.manifest, really_on)
    environment["standardisation"] = standardisation.to_dict()
    run.create({**resolved, "evaluate_on": judge or "none"}, environment)
    log.keep_in(run.log)
    for title, text in really_on.items():
        console.print(f"{title:>12}  {text}", soft_wrap=True)


def _likely_to_be_slow(setting: Any, data: Any) -> str:
    """What input would wait for, if it did; "" where nothing is likely."""
    if setting.on_host:
        return "the augmentation, on the host"
    streamed = not setting.synthetic and data.options("train").cache == "none"
    return "decoding" if streamed or data.cropped else ""


def _evaluate(trainer: Any, feed: Any, manifest: Manifest, run: RunDirectory, judge: str) -> None:
    from base import files
    from models.evaluation import evaluation_report

    result = trainer.evaluate(feed)
    report = evaluation_report(result["scores"], result["label"], result["loss"], manifest.classes, judge)
    files.write_json(run.evaluation, report)


def _judge(options: RunOptions, manifest: Manifest) -> str | None:
    """The split that judges, or None."""
    if options.evaluate_on == "none" or options.synthetic:
        return None
    if options.evaluate_on is not None:
        manifest.split(options.evaluate_on, Path(options.data))
        return options.evaluate_on
    return next((name for name in ("test", "validation") if name in manifest.splits), None)


def _doctor(data: str, run: RunDirectory) -> str:
    """The command that says what a run waits for."""
    return f"scripts/doctor.py --data {shlex.quote(data)} --config {shlex.quote(str(run.config))}"


def _print_result(run: RunDirectory, judge: str | None) -> None:
    if judge is None:
        print("evaluation: none")
    else:
        report = json.loads(run.evaluation.read_text(encoding="utf-8"))
        loss = "not finite" if report["loss"] is None else f"{report['loss']:.4f}"
        print(f"{judge} accuracy {report['accuracy']:.4f}, loss {loss} on {report['examples']:,} examples")
    print(f"run: {run.path}")


if __name__ == "__main__":
    sys.exit(main())
