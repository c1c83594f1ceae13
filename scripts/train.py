#!/usr/bin/env python
"""Trains and evaluates a model: `scripts/train.py --data DIR --run RUN [--config RECIPE]`."""

import dataclasses
import json
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from rich.console import Console

from base import command, native_log, signals
from base.errors import require
from base.options import option, parse, to_dict
from models.cnn_options import CNNOptions
from models.heads import HeadOptions, head_for
from models.training.options import HardwareOptions, OptimizerOptions, TrainingOptions
from models.training.run_directory import RunDirectory
from pipelines.augment.generator_options import GeneratorOptions, joined_policy
from pipelines.augment.options import AugmentOptions
from pipelines.input_options import InputOptions, resolve
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
    from models.standardise import DEFAULT
    from models.training import hardware as hardware_module
    from models.training.callbacks import EndOnSignal, standard_callbacks
    from models.training.progress import Progress
    from models.training.saving import save_model
    from models.training.trainer import Trainer
    from models.training.waiting import WaitingVerdict
    from pipelines.parts import Parts
    from scripts import assembly

    synthetic: bool = options["run"].synthetic
    training: TrainingOptions = options["training"]
    console = Console(highlight=False)
    spec = resolve(options["input"], manifest.image_shape, manifest.channels)
    head = head_for(options["head"], len(manifest.classes))
    generator: GeneratorOptions = options["generator"]
    policy = joined_policy(options["augmentation"], generator)
    if policy and policy.mixes:
        head.require_soft_labels()
    hardware = hardware_module.prepare(options["hardware"])
    parts = Parts(batch_size=training.batch_size, replicas=hardware.replicas)
    require(
        not (policy and policy.mixes) or parts.size % 2 == 0,
        f"Expected an even number of images for each of {parts.replicas} replicas, where augmentation mixes pairs",
        images=parts.size,
        do="Choose another --batch-size.",
    )
    reading: ReaderOptions = options["reading"]
    data = assembly.Data(Path(options["run"].data), manifest, spec, parts, reading, policy, training.seed)
    seed, cropped, shape = training.seed, data.cropped, data.training_frames.shape
    augmentation = assembly.build_augmentation(policy, spec, manifest, hardware, seed, cropped=cropped)
    on_host = options["augmentation"].augment_on == "host"
    if synthetic:
        done_once = augmentation if on_host else None
        train_feed = assembly.synthetic_feed(manifest, shape, parts, seed, augmentation=done_once)
    else:
        train_feed = data.training("train")
        reading = data.options("train")
        if augmentation and on_host:
            train_feed = assembly.augmented_on_host(train_feed, augmentation)
    judged = "validation" in manifest.splits and not synthetic
    validation_feed = data.evaluation("validation") if judged else None
    with data.reading():
        standardisation = DEFAULT if synthetic else assembly.fitted_standardisation(generator, data, spec)
    model = assembly.build_model(options["cnn"], options["optimizer"], head, spec, hardware, seed, standardisation)

    how = {"data": assembly.SYNTHETIC} if synthetic else data.describe()
    really_on = {**hardware.describe(), **how}
    really_on["augmentation"] = assembly.describe_augmentation(augmentation, on_host=on_host)
    really_on["standardised"] = standardisation.describe()
    if synthetic and augmentation and on_host:
        really_on["augmentation"] += ", done once"
    chosen = {"input": _as_options(spec), "reading": reading, "hardware": hardware.options}
    resolved = to_dict(*{**options, **chosen}.values())
    environment = {**assembly.environment(manifest, really_on), "standardisation": standardisation.to_dict()}
    run.create({**resolved, "evaluate_on": judge or "none"}, environment)
    log.keep_in(run.log)
    for title, text in really_on.items():
        console.print(f"{title:>12}  {text}", soft_wrap=True)
    model.summary(line_length=min(console.width, 100), print_fn=lambda text: console.print(text, markup=False))

    weights, callbacks = standard_callbacks(run, training, validation=validation_feed is not None)
    trainer = Trainer(model, head, hardware, augment=None if on_host else augmentation)
    progress = Progress(console)
    decodes = reading.cache == "none" or cropped
    likely = "the augmentation, on the host" if augmentation and on_host else "decoding" if decodes else ""
    verdict = WaitingVerdict(console, _doctor(options["run"].data, run), likely)
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
    save_model(model, head, run.model, trainer.loss_scale)


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


def _as_options(spec: Any) -> InputOptions:
    return InputOptions(image_size=spec.image_size, channels=spec.channels, fit=spec.fit)


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
