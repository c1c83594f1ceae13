"""How large a trial may be, as options; free of TensorFlow."""

import dataclasses

from base.errors import require
from base.options import option


@dataclasses.dataclass(frozen=True, kw_only=True)
class SizeOptions:
    """What is found impossible before it is trained; it counts as a trial."""

    max_parameters: int | None = option(None, "of a trial's model, the frozen ones too", neutral=True)
    max_trial_memory: str = option(
        "auto",
        "for what a step of training holds on a device (weights, gradients, optimizer, activations; no scratch space): "
        "bytes, as 2GB; auto: the memory of a trial's GPUs, or without any an equal share of what is free; none",
        neutral=True,
    )

    def __post_init__(self) -> None:
        least = self.max_parameters is None or self.max_parameters >= 1
        require(least, "Expected --max-parameters of at least 1", max_parameters=self.max_parameters)
