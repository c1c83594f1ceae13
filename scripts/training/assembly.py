"""What the commands share: it joins pipelines and models, which do not know each other."""

import dataclasses
import importlib.metadata
import platform
import sys
from typing import Any

import tensorflow as tf

from base.errors import require
from models.backbones.finetuning import Phase
from models.heads import Head, head_for
from models.standardise import DEFAULT, Standardisation
from models.training.hardware import Hardware
from pipelines.augment.augmentation import Augmentation
from pipelines.augment.generator_options import GeneratorOptions, joined_policy
from pipelines.augment.policy import Policy
from pipelines.images.input_options import InputSpec, resolve
from pipelines.manifest import Manifest
from pipelines.reading.parts import Parts
from pipelines.reading.statistics import pixel_statistics, require_whitenable, zca_matrix
from scripts.training.feeds import Data

_NAMED_VERSIONS = ("tensorflow", "keras", "numpy", "millrace")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Setting:
    """What a training's options come to, before any image is read."""

    options: dict[str, Any]  # title -> instance, of train.py's groups
    manifest: Manifest
    spec: InputSpec
    head: Head
    policy: Policy | None
    hardware: Hardware
    parts: Parts
    synthetic: bool  # constant batches stand in for the data

    @property
    def phases(self) -> tuple[Phase, ...]:
        """Of the run, in each of which the same layers are trained."""
        return self.options["fine-tuning"].phases(self.options["training"].epochs)

    def on_stored_features(self, phase: Phase) -> bool:
        """Whether a phase trains the head alone, on features that are computed once."""
        choice = self.options["fine-tuning"].features
        same_every_time = self.policy is None and not self.options["resizing"].stages
        return (
            phase.is_frozen
            and not self.synthetic
            and self.options["data service"].data_service is None
            and (choice == "stored" or (choice == "auto" and same_every_time))
        )

    @property
    def seed(self) -> int:
        """Of the run."""
        return self.options["training"].seed

    @property
    def on_host(self) -> bool:
        """Whether what augments does it in the input pipeline."""
        return self.policy is not None and self.options["augmentation"].augment_on == "host"


def setting_of(options: dict[str, Any], manifest: Manifest, hardware: Hardware, *, synthetic: bool = False) -> Setting:
    """Resolves a training's options.

    Raises:
        InputError: They do not go together, or not with the data set or the hardware.
    """
    head = head_for(options["head"], len(manifest.classes))
    policy = joined_policy(options["augmentation"], options["generator"])
    mixes = policy is not None and policy.mixes
    if mixes:
        head.require_soft_labels()
    parts = Parts(
        batch_size=options["training"].batch_size,
        replicas=hardware.replicas,
        workers=hardware.workers,
        worker=hardware.worker,
    )
    accumulate = options["training"].accumulate
    require(
        parts.size % accumulate == 0,
        f"Expected --accumulate to divide the {parts.size} images of a batch that each replica has",
        accumulate=accumulate,
    )
    options["resizing"].require_within(options["training"].epochs)
    require(
        options["model"].is_backbone or options["fine-tuning"].is_default,
        "Expected the name of a backbone as --model with --unfreeze, --stages and the other options of fine-tuning",
        model=options["model"].model,
    )
    require(
        not mixes or parts.size % 2 == 0,
        f"Expected an even number of images for each of {parts.replicas} replicas, where augmentation mixes pairs",
        images=parts.size,
        do="Choose another --batch-size.",
    )
    setting = Setting(
        options=options,
        manifest=manifest,
        spec=resolve(options["input"], manifest.image_shape, manifest.channels),
        head=head,
        policy=policy,
        hardware=hardware,
        parts=parts,
        synthetic=synthetic,
    )
    require(
        options["fine-tuning"].features != "stored" or any(map(setting.on_stored_features, setting.phases)),
        "Expected with --features stored a time in which the whole backbone is frozen, as --unfreeze none or --stages "
        "head:5 have it, and neither --synthetic nor --data-service",
        unfreeze=" ".join(options["fine-tuning"].unfreeze),
        stages=options["fine-tuning"].stages,
    )
    return setting


def standardisation_of(setting: Setting, data: Data) -> Standardisation:
    """What the model's first layers do; constant batches leave nothing to be fitted."""
    if setting.synthetic:
        return DEFAULT
    with data.reading():
        return fitted_standardisation(setting.options["generator"], data, setting.spec)


def fitted_standardisation(options: GeneratorOptions, data: Data, spec: InputSpec) -> Standardisation:
    """The same; what must be fitted is fitted on the training split, unaugmented.

    As in Keras, means and deviations are those of the rescaled pixels, also where samples are centred beforehand.
    """
    if not options.standardises:
        return DEFAULT
    how = Standardisation(
        rescale=options.factor(),
        samplewise_center=options.centers_samples,
        samplewise_std=options.samplewise_std_normalization,
    )
    if not options.centers_features:
        return how
    if options.zca_whitening:
        require_whitenable(spec.shape)
    seen = pixel_statistics(data.passing("train").dataset.as_numpy_iterator(), whiten=options.zca_whitening)
    factor = options.factor() or 1.0
    return dataclasses.replace(
        how,
        mean=tuple((seen.mean * factor).tolist()),
        std=tuple((seen.std * factor).tolist()) if options.divides_features else None,
        zca=zca_matrix(seen, factor=factor, epsilon=options.zca_epsilon) if options.zca_whitening else None,
    )


def build_augmentation(setting: Setting, *, cropped: bool) -> Augmentation | None:
    """The augmentation of a run; None where there is no policy. `cropped`: as `Data` has it."""
    if setting.policy is None:
        return None
    return Augmentation(
        setting.policy,
        seed=setting.seed,
        image_size=setting.spec.shape[:2],
        classes=len(setting.manifest.classes),
        # Pixels are whole numbers to 255, which bfloat16 holds exactly; float16's range is the model's own business.
        dtype=tf.bfloat16 if setting.hardware.precision == "mixed_bfloat16" else tf.float32,
        cropped=cropped,
    )


def describe_augmentation(setting: Setting) -> str:
    """What is done, and where."""
    if setting.policy is None:
        return "none"
    where = "in the input pipeline, on the host" if setting.on_host else "in the step, on the device"
    once = ", done once" if setting.on_host and setting.synthetic else ""
    return f"{setting.policy.describe()}; compiled by XLA, {where}{once}"


def environment(manifest: Manifest, really_on: dict[str, str], identities: dict[str, Any]) -> dict[str, Any]:
    """The content of `environment.json`."""
    return {
        "command": sys.argv,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "versions": {name: importlib.metadata.version(name) for name in _NAMED_VERSIONS},
        "really_on": really_on,
        **identities,
        "classes": list(manifest.classes),
        "stored_as": manifest.stored_as,  # what predict.py does to a file before it resizes it
    }
