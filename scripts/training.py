"""A training put together from its options: data and model, with nothing written yet."""

import dataclasses
import functools
from pathlib import Path
from typing import Any

import keras
import numpy as np

from models.backbone_table import BACKBONES
from models.backbones import backbone_layers
from models.finetuning import Phase
from models.freezing import unfrozen
from models.own_model import needs_its_file
from models.standardise import Standardisation
from models.training.feed import Feed
from models.training.hardware import Hardware
from pipelines.augment.augmentation import Augmentation
from pipelines.example_ids import read_ids
from pipelines.manifest import Manifest
from pipelines.sample_weights import read_sample_weights
from pipelines.split_files import SplitFiles
from scripts import assembly, feeds
from scripts.assembly import Setting
from scripts.building import build_model
from scripts.feeds import Data
from scripts.served_feeds import ServedData


@dataclasses.dataclass(frozen=True, kw_only=True)
class Training:
    """All that lasts through a training; see `training_phase.in_phase` for what changes."""

    setting: Setting
    data: Data
    standardisation: Standardisation
    augmentation: Augmentation | None
    model: keras.Model
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

    def training_feed(self, start_step: int = 0) -> Feed:
        """The images of the training split from a step on, or what stands in for them."""
        return self.cut(_training_feed(self.setting, self.data, self.augment_on_host, start_step))

    def evaluation_feed(self, split: str) -> Feed:
        """Every image of a split, once."""
        return self.cut(self.data.evaluation(split))

    def cut(self, feed: Feed) -> Feed:
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
            **({"data": feeds.SYNTHETIC} if self.setting.synthetic else self.data.describe()),
            "augmentation": assembly.describe_augmentation(self.setting),
            "standardised": "as its weights expect it" if has_own else self.standardisation.describe(),
        }

    def environment(self, identities: dict[str, Any]) -> dict[str, Any]:
        """The content of `environment.json`; `identities`: fingerprints of what the run is made of."""
        environment = assembly.environment(self.setting.manifest, self.really_on(), identities)
        return {**environment, "standardisation": self.standardisation.to_dict()}

    @property
    def likely_to_be_slow(self) -> str:
        """What input would wait for, if it did; "" where nothing is likely."""
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
    _training_feed(setting, data, augmentation if setting.on_host else None, 0)
    standardisation = assembly.standardisation_of(setting, data)
    model = build_model(setting, standardisation)
    if options["model"].is_backbone:
        names = [layer.name for layer in backbone_layers(model)]
        for phase in setting.phases:
            unfrozen(names, phase.unfreeze)  # refuses what the last phase would only find out in the end
    training = Training(
        setting=setting, data=data, standardisation=standardisation, augmentation=augmentation, model=model
    )
    if training.has_validation:
        training.evaluation_feed("validation")
    return training


def _sample_weights(options: dict[str, Any], manifest: Manifest) -> np.ndarray | None:
    path = options["loss"].sample_weights
    if path is None:
        return None
    files = SplitFiles(folder=Path(options["run"].data), manifest=manifest, name="train")
    return read_sample_weights(Path(path), read_ids(files))


def _training_feed(setting: Setting, data: Data, on_host: Augmentation | None, start_step: int) -> Feed:
    if setting.synthetic:
        shape = data.training_frames.shape
        return feeds.synthetic_feed(setting.manifest, shape, setting.parts, setting.seed, augmentation=on_host)
    return data.training("train", start_step, augmentation=on_host)
