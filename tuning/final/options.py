"""What follows a search, as options; free of TensorFlow."""

import dataclasses

from base.errors import require
from base.options import option


@dataclasses.dataclass(frozen=True, kw_only=True)
class FinalOptions:
    """From search to model."""

    then_train: bool = option(
        False, "train the best trial in full, with other seeds, and judge it on the test split", neutral=True
    )
    top: int = option(1, "of --then-train: so many of the best trials", neutral=True)
    seeds: int = option(1, "of --then-train: how often each of them is trained, with seeds of its own", neutral=True)
    then_epochs: int | None = option(
        None, "of --then-train: by default --epochs, or --max-epochs of hyperband", neutral=True
    )

    def __post_init__(self) -> None:
        for name, usual in (("top", 1), ("seeds", 1), ("then_epochs", None)):
            value, flag = getattr(self, name), f"--{name.replace('_', '-')}"
            require(value is None or value >= 1, f"Expected {flag} of at least 1", **{name: value})
            require(self.then_train or value == usual, f"Expected --then-train with {flag}", **{name: value})
