"""A training put together from its options: data and model, with nothing written yet."""

import dataclasses
import functools
from pathlib import Path
from typing import Any

import keras
import numpy as np

from models.backbones.build import backbone_layers
from models.backbones.finetuning import Phase
from models.backbones.freezing import unfrozen
from models.backbones.table import BACKBONES
from models.own_model import needs_its_file
from models.standardise import Standardisation
from models.training.feed import Feed
from models.training.hardware import Hardware
from pipelines.augment.augmentation import Augmentation
from pipelines.manifest import Manifest
from pipelines.reading.example_ids import read_ids
from pipelines.reading.sample_weights import read_sample_weights
from pipelines.reading.split_files import SplitFiles
from scripts.training import assembly, feeds
from scripts.training.assembly import Setting
from scripts.training.building import build_model
from scripts.training.feeds import Data
from scripts.training.served_feeds import ServedData
from scripts.training.stored_features import StoredFeatures, stored_features


@dataclasses.dataclass(frozen=True, kw_only=True)
class Training:
    """All that lasts through a training; see `training_phase.in_phase` for what changes."""

    setting: Setting
    data: Data
    standardisation: Standardisation
    augmentation: Augmentation | None
    model: keras.Model
    features: StoredFeatures | None = None  # of its backbone, where a phase is trained on them
    only_a_step: bool = False  # of each phase, and of each evaluation

    @property
    def phases(self) -> tuple[Phase, ...]:
        """Of the run."""
        phases = self.setting.phases
        return tuple(phase.cut_to_an_epoch() for phase in phases) if self.only_a_step else phases

    def cut_to_a_step(self) -> "Training":
        """Of everything."""
        return dataclasses.replace(self, only_a_step=True)

    @property
    def has_validation(self) -> bool:
        """Whether there is a split to judge the epochs by."""
        return not self.setting.synthetic and "validation" in self.setting.manifest.splits

    @property
    def augment_in_step(self) -> Augmentation | None:
        """What the compiled step does to its images."""
        return None if self.setting.on_host else self.augmentation

    @property
    def augment_on_host(self) -> Augmentation | None:
        """What the input pipeline does to them."""
        return self.augmentation if self.setting.on_host else None

    def data_of(self, phase: Phase) -> Data:
        """What a phase reads: images, or stored features."""
        return self.features if self.setting.on_stored_features(phase) else self.data

    def training_feed(self, phase: Phase, start_step: int = 0) -> Feed:
        """The training split for a phase, from a step of the run on; or what stands in for it."""
        setting, data = self.setting, self.data_of(phase)
        if setting.synthetic:
            shape, on_host = data.training_frames.shape, self.augment_on_host
            feed = feeds.synthetic_feed(setting.manifest, shape, setting.parts, setting.seed, augmentation=on_host)
        else:
            on_host = None if data is self.features else self.augment_on_host
            feed = data.training("train", start_step, augmentation=on_host)
        return self._cut(feed)

    def validation_feed(self, phase: Phase) -> Feed | None:
        """The validation split for a phase, every example once; None where there is none."""
        return self._cut(self.data_of(phase).evaluation("validation")) if self.has_validation else None

    def evaluation_feed(self, split: str) -> Feed:
        """Every image of a split, once."""
        return self._cut(self.data.evaluation(split))

    def _cut(self, feed: Feed) -> Feed:
        """A feed, or the first step of it where no more is wanted."""
        return feed.first_step(self.setting.parts.own) if self.only_a_step else feed

    def really_on(self) -> dict[str, str]:
        """Title -> what is really on, for the start of a run."""
        which = self.setting.options["model"]
        has_own = which.model in BACKBONES  # preprocessing
        needed = "; model.keras needs it to be loaded" if which.is_own and needs_its_file(self.model) else ""
        return {
            **self.setting.hardware.describe(),
            "model": f"{which.model}{needed}",
            **({"data": feeds.SYNTHETIC} if self.setting.synthetic else self.data_of(self.phases[0]).describe()),
            "augmentation": assembly.describe_augmentation(self.setting),
            "standardised": "as its weights expect it" if has_own else self.standardisation.describe(),
        }

    def environment(self, identities: dict[str, Any]) -> dict[str, Any]:
        """The content of `environment.json`; `identities`: fingerprints of what the run is made of."""
        environment = assembly.environment(self.setting.manifest, self.really_on(), identities)
        return {**environment, "standardisation": self.standardisation.to_dict()}

    @property
    def likely_to_be_slow(self) -> str:
        """What a step on images would wait for, if it did; "" where nothing is likely."""
        if self.setting.on_host:
            return "the augmentation, on the host"
        streamed = not self.setting.synthetic and self.data.options("train").cache == "none"
        return "decoding" if streamed or self.data.cropped else ""


def training_of(options: dict[str, Any], manifest: Manifest, hardware: Hardware) -> Training:
    """Puts a training together.

    Args:
        options: Title -> instance, of `train_options.GROUPS`.
        manifest: Of the data set.
        hardware: Prepared as the options want it.

    Raises:
        InputError: The options don't go together, or not with the data set or the hardware; files that can't be read.
    """
    setting = assembly.setting_of(options, manifest, hardware, synthetic=options["run"].synthetic)
    service, weights = options["data service"].data_service, _sample_weights(options, manifest)
    make_data = feeds.Data if service is None else functools.partial(ServedData, service=service)
    data = make_data(
        Path(options["run"].data),
        manifest,
        setting.spec,
        setting.parts,
        options["reading"],
        setting.policy,
        setting.seed,
        sample_weights=weights,
    )
    standardisation = assembly.standardisation_of(setting, data)
    model = build_model(setting, standardisation)
    if options["model"].is_backbone:
        names = [layer.name for layer in backbone_layers(model)]
        for phase in setting.phases:
            unfrozen(names, phase.unfreeze)  # refuses what the last phase would only find out in the end
    stored = any(map(setting.on_stored_features, setting.phases))
    training = Training(
        setting=setting,
        data=data,
        standardisation=standardisation,
        augmentation=assembly.build_augmentation(setting, cropped=data.cropped),
        model=model,
        features=stored_features(setting, model, sample_weights=weights) if stored else None,
    )
    # Opened, and where they are to be held read, before anything is written: files may be broken.
    training.training_feed(training.phases[0])
    training.validation_feed(training.phases[0])
    return training


def _sample_weights(options: dict[str, Any], manifest: Manifest) -> np.ndarray | None:
    path = options["loss"].sample_weights
    if path is None:
        return None
    files = SplitFiles(folder=Path(options["run"].data), manifest=manifest, name="train")
    return read_sample_weights(Path(path), read_ids(files))
