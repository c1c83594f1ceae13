"""How a run that was stopped goes on: with its own choices, from its newest checkpoint. Free of TensorFlow."""

import dataclasses
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from base.errors import require
from base.options import neutral_names, to_dict
from models.training.cluster import find_cluster
from models.training.options import HardwareOptions
from models.training.run_directory import RunDirectory
from pipelines.manifest import Manifest

if TYPE_CHECKING:
    from models.training.snapshot import Snapshot
    from scripts.training.training import Training

# What the state of the machine decides anew. Where it leads to other numbers, the run refuses to go on.
_DECIDED_ANEW = ("cache", "memory_budget")


def is_first(options: HardwareOptions) -> bool:
    """Whether this process is the one that writes the run, of those that train together."""
    if options.strategy != "multi_worker":
        return True
    cluster = find_cluster(options.workers, options.worker_index, os.environ)
    return cluster.is_chief if cluster else os.environ.get("SLURM_PROCID", "0") == "0"


def asked_of(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options that a run's numbers depend on, as the user gave them."""
    neutral = neutral_names(options.values())
    return {name: value for name, value in to_dict(*options.values()).items() if name not in neutral}


def identities_of(options: Mapping[str, Any], manifest: Manifest) -> dict[str, Any]:
    """Fingerprints of the files that a run's numbers depend on, under their names in `environment.json`."""
    model = options["model"].model.rpartition(":")[0] if options["model"].is_own else None
    return {
        "data_fingerprint": manifest.fingerprint,
        "model_file_fingerprint": _digest(model),
        "sample_weights_fingerprint": _digest(options["loss"].sample_weights),
        "weights_file_fingerprint": _digest(options["backbone"].weights),
        "onednn": os.environ.get("TF_ENABLE_ONEDNN_OPTS"),  # other kernels round otherwise; see `models`
    }


def agreement_of(options: Mapping[str, Any], identities: Mapping[str, Any]) -> dict[str, Any]:
    """What must be the same on all workers."""
    threads = ("intra_op_threads", "inter_op_threads")
    return {**{name: value for name, value in asked_of(options).items() if name not in threads}, **identities}


def adopted(options: Mapping[str, Any], chosen: Mapping[str, Any]) -> dict[str, Any]:
    """Options in which what is left to Millrace (None, "auto") is as the run has chosen it: threads, sizes, ..."""
    return {title: dataclasses.replace(group, **_left_open(group, chosen)) for title, group in options.items()}


def _digest(path: str | None) -> str | None:
    """Of a file's content; None where there is none, which is refused where it is used."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()[:16] if path and Path(path).is_file() else None


def _left_open(group: Any, chosen: Mapping[str, Any]) -> dict[str, Any]:
    """What `chosen` has for the fields of an options instance that are None or "auto"."""
    return {
        field.name: tuple(value) if isinstance(value, list) else value
        for field in dataclasses.fields(group)
        if getattr(group, field.name) in (None, "auto") and not field.metadata["neutral"]
        for value in [chosen.get(field.name)]
        if value is not None and field.name not in _DECIDED_ANEW
    }


def fingerprint_of(config: Mapping[str, Any], identities: Mapping[str, Any], neutral: set[str]) -> str:
    """Of all that a run's numbers depend on but how long it is: what its checkpoints are marked with."""
    facts = {name: value for name, value in config.items() if name not in neutral | {"epochs"}}
    text = json.dumps([facts, dict(identities)], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def taken_over(options: Mapping[str, Any], training: "Training") -> "Snapshot | None":
    """Where a run starts that takes over weights, optimizer and step of `--start-from`; None: it begins.

    Its learning rate is its own, and so are its callbacks; its first epoch is what is left of the one it comes into.
    """
    source = options["run"].start_from
    if source is None:
        return None
    from models.training.checkpoint import CheckpointFolder
    from scripts.training.phase import in_phase

    require(
        len(training.phases) == 1,
        "Expected --start-from without --stages or gradual unfreezing: the optimizers of their phases differ",
        start_from=source,
    )
    snapshot = CheckpointFolder(RunDirectory(Path(source)).checkpoints).load_newest()
    require(snapshot is not None, "Expected --start-from to name a run with a checkpoint", start_from=source)
    feed = training.training_feed(training.phases[0])
    epoch = next(number for number in range(2**62) if feed.steps_until(number) > snapshot.step)
    epochs = options["training"].epochs
    require(epoch < epochs, f"Expected --epochs above {epoch}, which {source} has done", epochs=epochs)
    first = in_phase(training, 0)
    start = snapshot.passed_on(epoch, float(first.trainer.model.optimizer.learning_rate.numpy()))
    first.trainer.require_fits(start, f"the newest checkpoint of {source}")
    return start
