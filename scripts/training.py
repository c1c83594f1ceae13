"""A training put together from its options: data, model and trainer, with nothing written yet."""

import contextlib
import dataclasses
import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np

from models.own_model import needs_its_file
from models.standardise import Standardisation
from models.training.broadcast import broadcast
from models.training.failures import NotFinite
from models.training.feed import Feed
from models.training.hardware import Hardware
from models.training.trainer import Trainer
from pipelines.augment.augmentation import Augmentation
from pipelines.example_ids import read_ids
from pipelines.manifest import Manifest
from pipelines.sample_weights import read_sample_weights
from pipelines.split_files import SplitFiles
from scripts import assembly, feeds
from scripts.assembly import Setting
from scripts.feeds import Data
from scripts.replay import naming_examples, replayed
from scripts.served_feeds import ServedData


@dataclasses.dataclass(frozen=True, kw_only=True)
class Training:
    """All that a training consists of."""

    setting: Setting
    data: Data
    standardisation: Standardisation
    augmentation: Augmentation | None
    model: keras.Model
    trainer: Trainer
    only_a_step: bool = False  # of training, and of each evaluation

    @property
    def epochs(self) -> int:
        """That are trained."""
        return 1 if self.only_a_step else self.setting.options["training"].epochs

    def cut_to_a_step(self) -> "Training":
        """Of everything."""
        return dataclasses.replace(self, only_a_step=True)

    @property
    def has_validation(self) -> bool:
        """Whether there is a split to judge the epochs by."""
        return not self.setting.synthetic and "validation" in self.setting.manifest.splits

    def training_feed(self, start_step: int = 0) -> Feed:
        """The training split from a step on, or what stands in for it."""
        return self._cut(_training_feed(self.setting, self.data, self.augmentation, start_step))

    def validation_feed(self) -> Feed | None:
        """The validation split; None where there is none."""
        return self.evaluation_feed("validation") if self.has_validation else None

    def evaluation_feed(self, split: str) -> Feed:
        """Every example of a split, once."""
        return self._cut(self.data.evaluation(split))

    def really_on(self) -> dict[str, str]:
        """Title -> what is really on, for the start of a run."""
        which = self.setting.options["model"]
        needed = "; model.keras needs it to be loaded" if which.is_own and needs_its_file(self.model) else ""
        return {
            **self.setting.hardware.describe(),
            "model": f"{which.model}{needed}",
            **({"data": feeds.SYNTHETIC} if self.setting.synthetic else self.data.describe()),
            "augmentation": assembly.describe_augmentation(self.setting),
            "standardised": self.standardisation.describe(),
        }

    def environment(self, identities: dict[str, Any]) -> dict[str, Any]:
        """The content of `environment.json`; `identities`: fingerprints of what the run is made of."""
        environment = assembly.environment(self.setting.manifest, self.really_on(), identities)
        return {**environment, "standardisation": self.standardisation.to_dict()}

    def _cut(self, feed: Feed) -> Feed:
        return feed.first_step(self.setting.parts.own) if self.only_a_step else feed

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        """Where training happens: its errors name shard and record, and the examples of a step that failed."""
        try:
            with self.data.reading(training=True):
                yield
        except NotFinite as error:
            raise error if self.setting.synthetic else naming_examples(error, self.data) from None

    def settle(self, best: Path | None) -> None:
        """Gives every worker the weights that are judged and saved: those of a file of the first one, or the last."""
        hardware = self.setting.hardware
        if best is not None:
            if hardware.worker == 0:
                self.model.load_weights(best)
            shared = broadcast(hardware, self.trainer.weights() if hardware.worker == 0 else None)
            if hardware.worker != 0:
                self.trainer.take_over(shared)
        self.trainer.settle()

    def replayed(self, folder: Path) -> str:
        """What happened in the step at which the training failed that left its moment before in `folder`."""
        on_host = self.augmentation if self.setting.on_host else None
        return replayed(folder, self.trainer, self.data, on_host=on_host)

    @property
    def likely_to_be_slow(self) -> str:
        """What input would wait for, if it did; "" where nothing is likely."""
        if self.setting.on_host:
            return "the augmentation, on the host"
        streamed = not self.setting.synthetic and self.data.options("train").cache == "none"
        return "decoding" if streamed or self.data.cropped else ""


def training_of(
    options: dict[str, Any], manifest: Manifest, hardware: Hardware, *, factors: np.ndarray | None = None
) -> Training:
    """Puts a training together.

    Args:
        options: Title -> instance, of `train_options.GROUPS`.
        manifest: Of the data set.
        hardware: Prepared as the options want it.
        factors: On the learning rate, in place of the schedule's.

    Raises:
        InputError: The options don't go together, or not with the data set or the hardware; files that can't be read.
    """
    setting = assembly.setting_of(options, manifest, hardware, synthetic=options["run"].synthetic)
    service = options["data service"].data_service
    make_data = feeds.Data if service is None else functools.partial(ServedData, service=service)
    data = make_data(
        Path(options["run"].data),
        manifest,
        setting.spec,
        setting.parts,
        options["reading"],
        setting.policy,
        setting.seed,
        sample_weights=_sample_weights(options, manifest),
    )
    augmentation = assembly.build_augmentation(setting, cropped=data.cropped)
    # Opened, and where they are to be held read, before anything is built or written: files may be broken.
    feed = _training_feed(setting, data, augmentation, 0)
    standardisation = assembly.standardisation_of(setting, data)
    model = assembly.build_model(setting, standardisation)
    training = Training(
        setting=setting,
        data=data,
        standardisation=standardisation,
        augmentation=augmentation,
        model=model,
        trainer=assembly.build_trainer(
            setting,
            model,
            augment=None if setting.on_host else augmentation,
            standardisation=standardisation,
            factors=assembly.schedule_of(setting, feed) if factors is None else factors,
        ),
    )
    training.validation_feed()
    return training


def _sample_weights(options: dict[str, Any], manifest: Manifest) -> np.ndarray | None:
    path = options["loss"].sample_weights
    if path is None:
        return None
    files = SplitFiles(folder=Path(options["run"].data), manifest=manifest, name="train")
    return read_sample_weights(Path(path), read_ids(files))


def _training_feed(setting: Setting, data: Data, augmentation: Augmentation | None, start_step: int) -> Feed:
    on_host = augmentation if setting.on_host else None
    if setting.synthetic:
        shape = data.training_frames.shape
        return feeds.synthetic_feed(setting.manifest, shape, setting.parts, setting.seed, augmentation=on_host)
    return data.training("train", start_step, augmentation=on_host)
