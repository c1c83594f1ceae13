"""What `train.py` can be told, and with it every command that takes its recipes. Free of TensorFlow."""

import dataclasses
import sys
import typing
from collections.abc import Mapping, Sequence

from base.errors import require
from base.options import build, given, option, parse
from models.backbones.finetuning import FineTuningOptions
from models.backbones.options import BackboneOptions
from models.cnn_options import CNNOptions
from models.heads import HeadOptions
from models.model_options import ModelOptions
from models.training.loss_options import LossOptions
from models.training.options import CheckpointOptions, HardwareOptions, OptimizerOptions, TrainingOptions
from models.training.resizing_options import ResizingOptions
from models.training.schedules import ScheduleOptions
from pipelines.augment.generator_options import GeneratorOptions
from pipelines.augment.options import AugmentOptions
from pipelines.images.input_options import InputOptions
from pipelines.reading.options import ReaderOptions
from pipelines.service.options import DataServiceOptions


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunOptions:
    """What to train on, where to, and how it is judged."""

    data: str = option(help="a dataset folder, made by build_tfrecords.py", neutral=True)
    run: str | None = option(None, "the run's folder; the same command again goes on with it", neutral=True)
    evaluate_on: str | None = option(
        None, "the split that judges: by default test, else validation; none: no evaluation"
    )
    start_from: str | None = option(None, "the folder of another run, whose weights, optimizer and step are taken over")
    overwrite: bool = option(False, "replace a run of other options", neutral=True)
    synthetic: bool = option(
        False, "constant batches of random pixels in place of the data, nothing is evaluated: how fast it could be"
    )
    dry_run: bool = option(
        False, "train, evaluate and save a step, and remove it all again: would the run work?", neutral=True
    )
    find_lr: str | None = option(
        None, "a range test of the learning rate in place of the run; its curve becomes this .png file", neutral=True
    )
    replay: bool = option(False, "of a run that met a loss that is no number: show that step again", neutral=True)

    def __post_init__(self) -> None:
        modes = [name for name in ("dry_run", "find_lr", "replay") if getattr(self, name)]
        require(len(modes) <= 1, "Expected one of --dry-run, --find-lr and --replay", received=modes)
        require(self.run is not None or modes in (["dry_run"], ["find_lr"]), "Expected --run (the run's folder)")
        require(
            self.find_lr is None or self.find_lr.endswith(".png"),
            "Expected --find-lr to name a .png file",
            find_lr=self.find_lr,
        )


GROUPS = {
    "run": RunOptions,
    "model": ModelOptions,
    "input": InputOptions,
    "reading": ReaderOptions,
    "data service": DataServiceOptions,
    "augmentation": AugmentOptions,
    "generator": GeneratorOptions,
    "cnn": CNNOptions,
    "backbone": BackboneOptions,
    "head": HeadOptions,
    "fine-tuning": FineTuningOptions,
    "loss": LossOptions,
    "optimizer": OptimizerOptions,
    "schedule": ScheduleOptions,
    "resizing": ResizingOptions,
    "training": TrainingOptions,
    "checkpoints": CheckpointOptions,
    "hardware": HardwareOptions,
}


def parse_options(argv: Sequence[str] | None) -> dict[str, typing.Any]:
    """train.py's command line: title -> instance; with `--stages`, the epochs are their sum."""
    argv = sys.argv[1:] if argv is None else argv
    options = parse("train.py", "Trains and evaluates an image classifier.", GROUPS, argv)
    require_epochs_of_stages(argv, options)
    return _with_epochs_of_stages(options)


def require_epochs_of_stages(argv: Sequence[str], options: Mapping[str, typing.Any]) -> None:
    """Refuses `--epochs` beside `--stages` that say otherwise."""
    stages, training = options["fine-tuning"], options["training"]
    require(
        stages.epochs is None or "epochs" not in given(argv, GROUPS) or training.epochs == stages.epochs,
        f"Expected --stages alone, whose epochs add up to {stages.epochs}, or as many --epochs",
        epochs=training.epochs,
    )


def options_of(recipe: Mapping[str, typing.Any]) -> dict[str, typing.Any]:
    """The same from a recipe in memory: title -> instance.

    Args:
        recipe: Option -> value, as `to_dict` gives them; what it leaves out has its default.

    Raises:
        InputError: An options class refuses its values.
    """
    defaults = {field.name: field.default for cls in GROUPS.values() for field in dataclasses.fields(cls)}
    return _with_epochs_of_stages({title: build(cls, {**defaults, **recipe}) for title, cls in GROUPS.items()})


def _with_epochs_of_stages(options: dict[str, typing.Any]) -> dict[str, typing.Any]:
    epochs = options["fine-tuning"].epochs
    if epochs is None:
        return options
    return {**options, "training": dataclasses.replace(options["training"], epochs=epochs)}


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
