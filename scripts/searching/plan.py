"""The plan of a search, from the command line and its recipes. Free of TensorFlow."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from base.errors import require
from base.options import neutral_names, to_dict
from models.backbones.finetuning import FineTuningOptions
from pipelines.images.input_options import resolve
from pipelines.manifest import read_manifest
from scripts.searching.space import search_space
from scripts.training import options as train_options
from scripts.training.going_on import identities_of
from tuning.objective import Objective
from tuning.oracles.options import OracleOptions
from tuning.plan import SearchPlan
from tuning.search_options import SearchOptions
from tuning.space.parameters import Space
from tuning.space.space import searched, values_of

_OWN = ("search", "algorithm", "parallel", "machines", "sizes", "then")  # titles of tune.py's own option groups

# Those of `identities_of` that are files beside the data set.
_FILES = ("model_file_fingerprint", "weights_file_fingerprint", "sample_weights_fingerprint")


def search_plan(argv: Sequence[str], options: dict[str, Any]) -> SearchPlan:
    """What is asked for, checked as far as it can be before a trial.

    Args:
        argv: Of the command.
        options: Title -> instance.

    Raises:
        InputError: No such data set or split; a search that would not end, or that nothing is left for.
    """
    asked: SearchOptions = options["search"]
    oracle: OracleOptions = options["algorithm"]
    folder = Path(asked.data)
    manifest = read_manifest(folder)
    for split in ("train", "validation"):
        manifest.split(split, folder)
    _require_an_end(oracle, asked)
    training = to_dict(*(group for title, group in options.items() if title not in _OWN))
    spec = resolve(options["input"], manifest.image_shape, manifest.channels)
    space, fixed = search_space(argv, options, asked.space, spec.image_size)
    _require_one_length(space, options, oracle)
    train_options.require_epochs_of_stages(argv, options)
    _require_one_phase(space, options, oracle)
    _require_one_rate(space, options, oracle)
    identities = identities_of(options, manifest)
    plan = SearchPlan(
        space=space,
        options={**training, **fixed, "data": str(folder.resolve())},
        oracle=oracle,
        executions=asked.executions,
        seed=training["seed"],
        data_fingerprint=manifest.fingerprint,
        files={name: identities[name] for name in _FILES if identities[name] is not None},
        neutral=frozenset(neutral_names(train_options.GROUPS.values())),
    )
    require(
        len(manifest.classes) >= plan.objective.least_classes,
        f"Expected an --objective that an evaluation of {len(manifest.classes)} classes gives",
        objective=oracle.objective,
    )
    _require_comparable(space, {**training, **fixed}, plan.objective)
    require(
        not asked.stop_hopeless or (plan.objective.is_of_epochs and oracle.algorithm != "hyperband"),
        "Expected --stop-hopeless with an objective of each epoch, and not with hyperband, which has rungs for that",
        objective=oracle.objective,
        algorithm=oracle.algorithm,
    )
    return plan


def _require_an_end(oracle: OracleOptions, asked: SearchOptions) -> None:
    bounded = oracle.algorithm in ("grid", "hyperband") or oracle.trials is not None or asked.hours is not None
    require(bounded, f"Expected --trials or --hours with --algorithm {oracle.algorithm}, which would not end")


def _require_comparable(space: Space, options: Mapping[str, Any], objective: Objective) -> None:
    """Refuses an objective that some trials would not have, or in which they could not be compared."""
    heads, losses = set(values_of("head", space, options)), set(values_of("loss", space, options))
    require(
        objective.name != "log_loss" or "linear" not in heads,
        "Expected an --objective that an evaluation gives: scores of --head linear are no probabilities",
        objective=objective.name,
        head=", ".join(sorted(heads)),
    )
    require(
        objective.name != "val_loss" or "linear" not in heads or len(heads) == len(losses) == 1,
        "Expected an --objective that can be compared between losses, as val_accuracy",
        objective=objective.name,
        head=", ".join(sorted(heads)),
        loss=", ".join(sorted(losses)),
    )


def _require_one_length(space: Space, options: dict[str, Any], oracle: OracleOptions) -> None:
    """Refuses to search the epochs where something else says how long a trial is trained."""
    if "epochs" not in searched(space):
        return
    hyperband = oracle.algorithm == "hyperband"
    require(not hyperband, "Expected hyperband without a search of epochs: its rungs say how long", option="epochs")
    stages = options["fine-tuning"].stages
    require(
        stages is None and "stages" not in searched(space),
        "Expected --stages without a search of epochs: they say how long it is trained",
        option="epochs",
    )


def _require_one_rate(space: Space, options: dict[str, Any], oracle: OracleOptions) -> None:
    """Refuses what would lower the rate within a rung: the next one begins with the rate of its recipe."""
    require(
        oracle.algorithm != "hyperband"
        or (options["training"].reduce_lr_on_plateau == 0 and "reduce_lr_on_plateau" not in searched(space)),
        "Expected hyperband without --reduce-lr-on-plateau, which would begin anew in each rung",
        do="Take a --schedule, which spans the longest rung.",
    )


def _require_one_phase(space: Space, options: dict[str, Any], oracle: OracleOptions) -> None:
    """Where a rung goes on from another one's optimizer, that must be one and the same."""
    if oracle.algorithm != "hyperband":
        return
    given: FineTuningOptions = options["fine-tuning"]
    named = [(name, value) for one in space for name in one.options for value in one.extremes()]
    stages = [given.stages, *(value for name, value in named if name == "stages")]
    unfreeze = [given.unfreeze, *(tuple(value) for name, value in named if name == "unfreeze")]
    for asked in (FineTuningOptions(stages=one, unfreeze=other) for one in stages for other in unfreeze):
        require(
            asked.stages is None and len(asked.phases(oracle.max_epochs)) == 1,
            "Expected hyperband without --stages or gradual unfreezing: a trial that goes on has one row of epochs",
            stages=asked.stages,
            unfreeze=list(asked.unfreeze),
        )
