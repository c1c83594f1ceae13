"""A training put together as train.py does it, to be measured: what joins the doctor with models and readers."""

import dataclasses
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf

from models.heads import head_for
from models.training import hardware as hardware_module
from models.training.stopwatch import Timing
from models.training.trainer import Trainer
from pipelines.doctor import remedies as cures
from pipelines.doctor import sample as samples
from pipelines.doctor import stages as measured
from pipelines.doctor.stages import Measuring
from pipelines.doctor.verdict import Machine, Remedy, Stage, Start, Training
from pipelines.input_options import resolve
from pipelines.manifest import Manifest
from scripts import assembly

_ROUNDS = 4  # of the short training and of constant batches, in turn
_LEAST_STEP = 0.1  # of what constant batches take: compiled into the step the augmentation may cost less than alone


class Examination:
    """One training under examination.

    Args:
        options: Title -> instance, as train.py's groups have them, and `doctor`.
        manifest: Of the dataset.
        folder: The dataset.
        seconds: Of measuring, in all.
        images: That the stages are measured on, at most.

    Attributes:
        machine, sample: What it runs on; what is measured.
        start: What a resident reader does before the first step; else None.
        cut: Whether the training reads less than the whole split, to start in time.
    """

    def __init__(
        self, options: dict[str, Any], manifest: Manifest, folder: Path, *, seconds: float, images: int
    ) -> None:
        self._options, self._manifest, self._seconds = options, manifest, seconds
        self._split = manifest.split("train", folder)
        self._training = options["training"]
        self._spec = resolve(options["input"], manifest.image_shape, manifest.channels)
        self._head = head_for(options["head"], len(manifest.classes))
        policy = options["augmentation"].policy()
        if policy and policy.mixes:
            self._head.require_soft_labels()
        self.hardware = hardware_module.prepare(options["hardware"])
        cores = hardware_module.available_cores()
        self.machine = Machine(cores=cores, shared=self.hardware.devices[0].startswith("CPU"))
        self._part = self._training.batch_size // self.hardware.replicas
        self._measuring = Measuring(seconds=seconds / 25, threads=cores)
        augmentation = assembly.build_augmentation(policy, self._spec, manifest, self.hardware, self._training.seed)
        # Traced once, wherever it is used: that takes as long as many a measurement.
        self._augmentation = augmentation and tf.function(augmentation, jit_compile=True, autograph=False)
        self._on_host = options["augmentation"].augment_on == "host"
        self.sample = samples.draw(folder, manifest, "train", images)
        self._decoding = samples.decoding(manifest.encoding, manifest.image_shape, manifest.channels, self._spec)
        self._read(folder)

    def _read(self, folder: Path) -> None:
        """Makes the feed. Whatever differs between the readers stands here, and asks for `self._resident` elsewhere."""
        self._resident = True
        brief = dataclasses.replace(self._measuring, seconds=0.1)
        decoding = measured.decode_stages(self.sample.columns, self._decoding, brief, once=True)
        in_time = int(self._seconds / 5 / sum(stage.wall for stage in decoding))
        manifest = samples.shortened(self._manifest, "train", in_time) if self._resident else self._manifest
        self.cut = manifest.splits["train"].examples < self._split.examples
        self.data = assembly.Data(folder, manifest, self._spec, self.hardware.replicas, self._training.batch_size)
        started = time.perf_counter()
        self._plain = self.data.training("train", self._training.seed)
        took = (time.perf_counter() - started) * self._split.examples / self._plain.examples
        self.start = Start(seconds=took, images=self._split.examples) if self._resident else None
        self._feed = self._plain
        if self._augmentation and self._on_host:
            self._feed = assembly.augmented_on_host(self._plain, self._augmentation)

    def training(self) -> tuple[Training, Timing]:
        """A short real training, in turn with constant batches: what was seen, and the timing of the latter."""
        options = self._options
        model = assembly.build_model(
            options["cnn"], options["optimizer"], self._head, self._spec, self.hardware, self._training.seed
        )
        trainer = Trainer(model, self._head, self.hardware, augment=None if self._on_host else self._augmentation)
        watches = trainer.stopwatch(self._feed), trainer.stopwatch(self._constant(augmented=self._on_host))
        seconds = self._seconds / 5 / _ROUNDS
        rounds = [[watch(seconds) for watch in watches] for _ in range(_ROUNDS)]
        real, constant = (max(taken, key=lambda t: t.images_per_second) for taken in zip(*rounds, strict=True))
        seen = Training(
            images_per_second=real.images_per_second,
            waiting=real.waiting,
            ceiling=constant.images_per_second,
            idle=constant.waiting,
        )
        return seen, constant

    def stages(self, constant: Timing) -> list[Stage]:
        """All stages, in their order; `constant` is the timing of constant batches."""
        once, measuring, split = self._resident, self._measuring, self._split
        large = sum(shard.bytes for shard in split.shards) > _free_memory()
        stages = measured.read_stages(self.sample, measuring, off_the_disk=large, once=once)
        stages += measured.decode_stages(self.sample.columns, self._decoding, measuring, once=once)
        if self._resident:
            stages.append(measured.batch_of_feed(self._plain.dataset, self._part, measuring))
        else:
            stages.append(measured.batch_of_stream(self.sample.columns, self._decoding, self._part, measuring))
        batch = next(iter(self._constant(augmented=False).dataset))
        stages.append(measured.copy_stage(batch, self.hardware.strategy, measuring))
        if self._augmentation:
            stages.append(self._augmented(on_host=self._on_host))
        return [*stages, _step(constant, stages)]

    def remedies(self, stages: Sequence[Stage]) -> Iterator[Remedy]:
        """What could be changed, the cheapest for the user first."""
        if self._augmentation and self._on_host:
            yield cures.augmented_on_device(self._augmented(on_host=False))
        pixels = self._spec.image_size**2 * self._spec.channels
        if not self._resident and 2 * self._split.examples * pixels < _free_memory():
            yield cures.resident(self.sample.columns, self._decoding, self._part, stages, self._measuring)
        for form in cures.conversions(self._manifest, self._spec, self.sample.short_sides):
            yield cures.converted(self.sample, self._manifest, form, self._spec, stages, self._measuring)

    def _augmented(self, *, on_host: bool) -> Stage:
        batch = next(iter(self._plain.dataset))
        device = None if on_host else f"/{self.hardware.devices[0]}"
        stage = measured.augmentation_stage(batch, self._augmentation, self._measuring, device=device)
        several = 1 if self.machine.shared or on_host else self.hardware.replicas  # GPUs work side by side
        return dataclasses.replace(stage, wall=stage.wall / several)

    def _constant(self, *, augmented: bool):
        return assembly.synthetic_feed(
            self._manifest,
            self._spec,
            self.hardware,
            self._training,
            augmentation=self._augmentation if augmented else None,
        )


def _free_memory() -> int:
    """Bytes that the system could still give."""
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _step(constant: Timing, stages: Sequence[Stage]) -> Stage:
    """`step`: what constant batches took, less the augmentation in it."""
    wall, cpu = constant.seconds / constant.images, constant.cpu / constant.images
    inside = [stage for stage in stages if stage.where == "device"]
    return Stage(
        name="step",
        wall=max(_LEAST_STEP * wall, wall - sum(stage.wall for stage in inside)),
        cpu=max(_LEAST_STEP * cpu, cpu - sum(stage.cpu for stage in inside)),
        where="device",
    )
