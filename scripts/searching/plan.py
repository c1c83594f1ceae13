"""The plan of a search, from the command line and its recipes. Free of TensorFlow."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from base.errors import require
from base.options import to_dict
from pipelines.images.input_options import resolve
from pipelines.manifest import read_manifest
from scripts.searching.space import search_space
from tuning.oracles.options import OracleOptions
from tuning.plan import SearchPlan
from tuning.search_options import SearchOptions

_OWN = ("search", "algorithm", "parallel", "machines", "sizes", "then")  # titles of tune.py's own option groups


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
    _require_one_phase(options, oracle)
    training = to_dict(*(group for title, group in options.items() if title not in _OWN))
    spec = resolve(options["input"], manifest.image_shape, manifest.channels)
    space, fixed = search_space(argv, options, asked.space, spec.image_size)
    plan = SearchPlan(
        space=space,
        options={**training, **fixed, "data": str(folder.resolve())},
        oracle=oracle,
        executions=asked.executions,
        seed=training["seed"],
        data_fingerprint=manifest.fingerprint,
    )
    require(
        len(manifest.classes) >= plan.objective.least_classes,
        f"Expected an --objective that an evaluation of {len(manifest.classes)} classes gives",
        objective=oracle.objective,
    )
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


def _require_one_phase(options: dict[str, Any], oracle: OracleOptions) -> None:
    """Where a rung goes on from another one's optimizer, that must be one and the same."""
    phases = options["fine-tuning"].phases(oracle.max_epochs) if oracle.algorithm == "hyperband" else []
    require(
        len(phases) <= 1,
        "Expected hyperband without --stages or gradual unfreezing: a trial that goes on has one row of epochs",
        stages=options["fine-tuning"].stages,
        unfreeze=list(options["fine-tuning"].unfreeze),
    )
