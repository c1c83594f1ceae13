"""Which architecture is trained, as an option; free of TensorFlow."""

import dataclasses

from base.errors import nearest, require
from base.options import option

NAMES = ("cnn",)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelOptions:
    """The architecture."""

    model: str = option("cnn", "cnn, or a function of your own that builds a Keras model: path/to/file.py:function")

    def __post_init__(self) -> None:
        require(
            self.model in NAMES or self.is_own,
            "Expected --model cnn, or path/to/file.py:function",
            model=self.model,
            do="" if ".py" in self.model else nearest(self.model, NAMES),
        )

    @property
    def is_own(self) -> bool:
        """Whether it names a function in a file."""
        path, colon, function = self.model.rpartition(":")
        return bool(colon) and path.endswith(".py") and function.isidentifier()
