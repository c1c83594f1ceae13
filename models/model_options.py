"""Which architecture is trained, as an option; free of TensorFlow."""

import dataclasses

from base.errors import require
from base.options import option
from models.backbones.table import is_backbone, likeliest_backbone

NAMES = ("cnn",)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelOptions:
    """The architecture."""

    model: str = option(
        "cnn",
        "cnn; a backbone of keras.applications by its name (VGG16, ResNet50, MobileNetV2, EfficientNetV2B0, ...); "
        "resnet-20, wrn-16-8, ...; or a function of your own that builds a Keras model: path/to/file.py:function",
    )

    def __post_init__(self) -> None:
        require(
            self.model in NAMES or self.is_own or self.is_backbone,
            "Expected --model cnn, the name of a backbone, or path/to/file.py:function",
            model=self.model,
            do="" if ".py" in self.model else likeliest_backbone(self.model, NAMES),
        )

    @property
    def is_backbone(self) -> bool:
        """Whether it is the name of a backbone."""
        return is_backbone(self.model)

    @property
    def is_own(self) -> bool:
        """Whether it names a function in a file."""
        path, colon, function = self.model.rpartition(":")
        return bool(colon) and path.endswith(".py") and function.isidentifier()
