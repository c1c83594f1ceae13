"""How images meet the model's size, as options; free of TensorFlow."""

import dataclasses
from typing import Literal

from base.errors import require
from base.options import option

Fit = Literal["stretch", "crop", "pad"]

# What a folder of photos of different sizes is brought to when nothing is said.
DEFAULT_IMAGE_SIZE = 128


@dataclasses.dataclass(frozen=True, kw_only=True)
class InputOptions:
    """The size and channels of the images that the model sees, and how an image gets there."""

    image_size: int | None = option(
        None,
        f"height and width in pixels; by default the data set's own where all images are square and of one size, "
        f"else {DEFAULT_IMAGE_SIZE}",
    )
    channels: Literal[1, 3] | None = option(None, "1 grey or 3 colour; by default the data set's own")
    fit: Fit = option(
        "stretch",
        "how an image that is not square becomes square: stretch it, crop its centre, or pad with black; "
        "the same in training, evaluation and use",
    )

    def __post_init__(self) -> None:
        require(
            self.image_size is None or 1 <= self.image_size <= 8192,
            "Expected --image-size between 1 and 8192",
            image_size=self.image_size,
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class InputSpec:
    """`InputOptions` with every default resolved for one data set."""

    image_size: int
    channels: int
    fit: Fit

    @property
    def shape(self) -> tuple[int, int, int]:
        """(height, width, channels)."""
        return (self.image_size, self.image_size, self.channels)


def resolve(options: InputOptions, image_shape: tuple[int, int] | None, channels: int) -> InputSpec:
    """Fills what the options leave open from the data set.

    Args:
        options: As the user gave them.
        image_shape: (height, width) where all images of the data set agree, else None.
        channels: The data set's own.
    """
    size = options.image_size
    if size is None:
        square = image_shape is not None and image_shape[0] == image_shape[1]
        size = image_shape[0] if square else DEFAULT_IMAGE_SIZE
    return InputSpec(image_size=size, channels=options.channels or channels, fit=options.fit)
