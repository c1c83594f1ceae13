"""A training put together as train.py does it, to be measured: what joins the doctor with models and readers."""

import dataclasses
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf

from models.training.feed import Feed
from models.training.hardware import available_cores, prepare
from models.training.stopwatch import Timing
from pipelines.augment.augmentation import host_crop
from pipelines.doctor import remedies as cures
from pipelines.doctor import sample as samples
from pipelines.doctor import stages as measured
from pipelines.doctor.stages import Measuring
from pipelines.doctor.verdict import Machine, Remedy, Stage, Start, Training
from pipelines.images.frames import Frames, training_frames
from pipelines.manifest import Manifest
from pipelines.reading import resident
from pipelines.reading.budget import Budget, available_memory
from pipelines.reading.options import ReaderOptions
from pipelines.reading.split_files import SplitFiles
from scripts.training import assembly, building, feeds

_ROUNDS = 4  # of the short training and of constant batches, in turn; fewer where a step takes seconds
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
        self._setting = assembly.setting_of(options, manifest, prepare(options["hardware"]))
        self.hardware, self._parts = self._setting.hardware, self._setting.parts
        cores = available_cores()
        self.machine = Machine(cores=cores, shared=self.hardware.devices[0].startswith("CPU"))
        self._measuring = Measuring(seconds=seconds / 25, threads=options["reading"].decode_threads or cores)
        self._frames = self._frames_of(manifest)
        self._files = SplitFiles(folder=folder, manifest=manifest, name="train")
        self.sample = samples.draw(self._files, self._frames, images)
        self._open(folder)
        augmentation = assembly.build_augmentation(self._setting, cropped=self.data.cropped)
        # Traced once, wherever it is used: that takes as long as many a measurement.
        self._augmentation = augmentation and tf.function(augmentation, jit_compile=True, autograph=False)
        self._on_host = self._setting.on_host
        self._feed = feeds.augmented_on_host(self._plain, self._augmentation) if self._on_host else self._plain

    def _open(self, folder: Path) -> None:
        """Opens the split as train.py does; of one that is to be held only as many shards as are held in time."""
        reading: ReaderOptions = self._options["reading"]
        budget = Budget(reading.memory_budget)
        fits = resident.resident_bytes(self._files, self._frames) <= budget.left
        self._resident = reading.cache == "memory" or (reading.cache == "auto" and fits)
        self._decoded_once = self._resident and self._frames.crop is None
        manifest, examples = self._manifest, self._files.split.examples
        if self._resident and reading.sampling == "natural":
            manifest = samples.shortened(manifest, "train", int(self._seconds / 5 / self._seconds_to_load()))
        held = manifest.splits["train"].examples
        self.cut = held < examples
        reading = dataclasses.replace(reading, cache="memory" if self._resident else "none")
        setting = self._setting
        self.data = feeds.Data(folder, manifest, setting.spec, setting.parts, reading, setting.policy, setting.seed)
        started = time.perf_counter()
        self._plain = self.data.training("train")
        took = (time.perf_counter() - started) * examples / held
        self.start = Start(seconds=took, images=examples) if self._resident else None

    def _seconds_to_load(self) -> float:
        """Of an image, roughly."""
        brief = dataclasses.replace(self._measuring, seconds=0.05)
        decoding = measured.decode_stages(self.sample.columns, samples.decoding(self._frames), brief, once=True)
        return sum(stage.wall for stage in decoding)

    def _frames_of(self, manifest: Manifest) -> Frames:
        setting = self._setting
        return training_frames(manifest, setting.spec, setting.policy, host_crop(setting.policy, setting.seed))

    def training(self) -> tuple[Training, Timing]:
        """A short real training, in turn with constant batches: what was seen, and the timing of the latter."""
        model = building.build_model(self._setting)
        augment = None if self._on_host else self._augmentation
        trainer = building.build_trainer(self._setting, model, augment)
        watches = trainer.stopwatch(self._feed), trainer.stopwatch(self._constant(augmented=self._on_host))
        seconds, rounds, ends = self._seconds / 5 / _ROUNDS, [], time.perf_counter() + self._seconds / 2
        while not rounds or len(rounds) < _ROUNDS and time.perf_counter() < ends:
            rounds.append([watch(seconds) for watch in watches])
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
        measuring, decoding = self._measuring, samples.decoding(self._frames)
        large = self._files.bytes > (available_memory() or 0)
        stages = measured.read_stages(self.sample, measuring, off_the_disk=large, once=self._resident)
        stages += measured.decode_stages(self.sample.columns, decoding, measuring, once=self._decoded_once)
        if self._decoded_once:
            stages.append(measured.batch_of_feed(self._plain.dataset, self._parts.size, measuring))
        else:
            stages.append(measured.batch_of_stream(self.sample.columns, decoding, self._parts.size, measuring))
        batch = next(iter(self._constant(augmented=False).dataset.rebatch(self._parts.batch_size)))
        stages.append(measured.copy_stage(batch, self.hardware.strategy, measuring))
        if self._augmentation:
            stages.append(self._augmented(on_host=self._on_host))
        return [*stages, _step(constant, stages)]

    def remedies(self, stages: Sequence[Stage]) -> Iterator[Remedy]:
        """What could be changed, the cheapest for the user first."""
        if self._on_host:
            yield cures.augmented_on_device(self._augmented(on_host=False))
        if not self._resident and resident.resident_bytes(self._files, self._frames) <= Budget().left:
            yield cures.resident(self.sample.columns, self._frames, self._parts.size, stages, self._measuring)
        for form in cures.conversions(self._frames, self.sample.short_sides):
            yield cures.converted(self.sample, self._manifest, form, self._frames_of, stages, self._measuring)

    def _augmented(self, *, on_host: bool) -> Stage:
        batch = next(iter(self._plain.dataset))
        device = None if on_host else f"/{self.hardware.devices[0]}"
        stage = measured.augmentation_stage(batch, self._augmentation, self._measuring, device=device)
        several = 1 if self.machine.shared or on_host else self.hardware.replicas  # GPUs work side by side
        return dataclasses.replace(stage, wall=stage.wall / several)

    def _constant(self, *, augmented: bool) -> Feed:
        augmentation = self._augmentation if augmented else None
        return feeds.synthetic_feed(
            self._manifest, self._frames.shape, self._parts, self._setting.seed, augmentation=augmentation
        )


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
