"""What a recipe says about augmentation, as a typed policy. Free of TensorFlow.

augment: none                                  nothing
augment: imagenet                              a policy by name
augment: flip,rotation                         steps by name, with their defaults
augment: [flip, {rotation: {degrees: 30}}]     steps with ranges of their own
"""

import dataclasses
import re
import types
import typing
from collections.abc import Sequence
from typing import Any

from base.errors import InputError, input_error, nearest, require
from pipelines.augment import erasing_steps, mixing_steps, pixel_steps, policy_steps, steps
from pipelines.augment.steps import Geometric, Mixing, Step


@dataclasses.dataclass(frozen=True, kw_only=True)
class Policy:
    """Steps, and how the warp treats what lies beyond the edge.

    However they are listed, geometric steps come first and share one warp; then those that change pixels, then those
    that mix examples, each kind in the order given.
    """

    steps: tuple[Step, ...]
    fill: str = "nearest"
    fill_value: float = 0.0
    interpolation: str = "bilinear"

    def of_kind(self, kind: type[Step]) -> list[tuple[int, Any]]:
        """(place in `steps`, step) of one kind; the place is the number of the step's stream of draws."""
        return [(place, step) for place, step in enumerate(self.steps) if isinstance(step, kind)]

    @property
    def mixes(self) -> bool:
        """Whether labels become shares of classes."""
        return bool(self.of_kind(Mixing))

    def describe(self) -> str:
        """The steps' names."""
        return ", ".join(name_of(step) for step in self.steps)


def name_of(step: Step | type[Step]) -> str:
    """A step's name in recipes: `RandomResizedCrop` is `random_resized_crop`."""
    cls = step if isinstance(step, type) else type(step)
    return re.sub(r"(?<!^)(?=[A-Z])", "_", cls.__name__).lower()


STEPS: dict[str, type[Step]] = {
    name_of(cls): cls
    for cls in (
        steps.Flip,
        steps.Rotation,
        steps.Zoom,
        steps.Shift,
        steps.Shear,
        steps.Crop,
        steps.RandomResizedCrop,
        *pixel_steps.PIXEL_STEPS,
        *erasing_steps.ERASING_STEPS,
        *policy_steps.POLICY_STEPS,
        *mixing_steps.MIXING_STEPS,
    )
}

_IMAGENET = (steps.RandomResizedCrop(), steps.Flip())
_CIFAR = (steps.Crop(padding=4), steps.Flip())

NAMED: dict[str, tuple[Step, ...]] = {
    "light": (
        steps.Flip(),
        steps.Rotation(degrees=10),
        steps.Zoom(scale=(0.9, 1.1)),
        steps.Shift(width=0.1, height=0.1),
    ),
    "imagenet": _IMAGENET,
    "imagenet_color_jitter": (*_IMAGENET, pixel_steps.ColorJitter()),
    "imagenet_rand_augment": (*_IMAGENET, policy_steps.RandAugment()),
    "imagenet_trivial_augment": (*_IMAGENET, policy_steps.TrivialAugment()),
    "imagenet_auto_augment": (*_IMAGENET, policy_steps.AutoAugment(policy="imagenet")),
    "imagenet_mixup": (*_IMAGENET, mixing_steps.Mixup(alpha=0.2)),
    "imagenet_cutmix": (*_IMAGENET, mixing_steps.Cutmix(alpha=1.0)),
    "cifar": _CIFAR,
    "cifar_cutout": (*_CIFAR, erasing_steps.Cutout(size=0.5)),
    "cifar_rand_augment": (*_CIFAR, policy_steps.RandAugment()),
    "cifar_trivial_augment": (*_CIFAR, policy_steps.TrivialAugment()),
    "cifar_auto_augment": (*_CIFAR, policy_steps.AutoAugment(policy="cifar"), erasing_steps.Cutout(size=0.5)),
    "auto_augment_imagenet": (policy_steps.AutoAugment(policy="imagenet"),),
    "auto_augment_cifar": (policy_steps.AutoAugment(policy="cifar"),),
}


def read_steps(value: Any) -> tuple[Step, ...]:
    """The steps that the option `augment` asks for; none of them for "none".

    Raises:
        InputError: An unknown name or field (with the nearest one), or a value out of range.
    """
    if value in (None, "none", [], ()):
        return ()
    entries = [entry.strip() for entry in value.split(",")] if isinstance(value, str) else value
    require(isinstance(entries, Sequence), "Expected augment as a name or a list of steps", augment=value)
    read = tuple(step for entry in entries for step in _read(entry))
    _require_order(read)
    return read


def scaled(read: Sequence[Step], strength: float) -> tuple[Step, ...]:
    """The steps with every range so many times as wide."""
    return tuple(read) if strength == 1 else tuple(step.scaled(strength) for step in read)


def _read(entry: Any) -> tuple[Step, ...]:
    if isinstance(entry, str):
        if entry in NAMED:
            return NAMED[entry]
        return (_class_of(entry)(),)
    if isinstance(entry, dict) and len(entry) == 1:
        ((name, values),) = entry.items()
        return (step_of(name, values or {}),)
    raise input_error("Expected a step of augment as NAME or {NAME: {FIELD: VALUE}}", step=entry)


def step_of(name: str, values: dict[str, Any]) -> Step:
    """A step from its name and what a recipe says of it."""
    cls = _class_of(name)
    if not isinstance(values, dict):
        raise input_error(f"Expected fields of {name} as FIELD: VALUE", **{name: values})
    kinds = typing.get_type_hints(cls)
    for key, value in values.items():
        if key not in kinds:
            raise input_error(f"Expected a field of {name}", field=key, do=nearest(key, kinds))
        if not _fits(value, kinds[key]):
            raise input_error(f"Expected {name}.{key} as {_spelled(kinds[key])}", **{key: value})
    try:
        return cls(**{key: tuple(value) if isinstance(value, list) else value for key, value in values.items()})
    except InputError as error:
        raise InputError(f"augment: {error}") from None


def _class_of(name: Any) -> type[Step]:
    if name not in STEPS:
        known = [*STEPS, *NAMED]
        raise input_error("Expected a step or policy of augment", name=name, do=nearest(str(name), known))
    return STEPS[name]


def _require_order(read: Sequence[Step]) -> None:
    geometric = [step for step in read if isinstance(step, Geometric)]
    late = [name_of(step) for step in geometric[1:] if isinstance(step, (steps.Crop, steps.RandomResizedCrop))]
    require(not late, "Expected a crop as the first geometric step of augment, and no second one", step=late[:1])


def _fits(value: Any, kind: Any) -> bool:
    if isinstance(kind, types.UnionType):
        return any(_fits(value, one) for one in typing.get_args(kind))
    if typing.get_origin(kind) is tuple:
        kinds = typing.get_args(kind)
        return isinstance(value, (list, tuple)) and len(value) == len(kinds) and all(map(_fits, value, kinds))
    if typing.get_origin(kind) is typing.Literal:
        return value in typing.get_args(kind)
    if kind is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    return isinstance(value, kind) and (kind is bool or not isinstance(value, bool))


def _spelled(kind: Any) -> str:
    if typing.get_origin(kind) is tuple:
        return f"[{', '.join(_spelled(one) for one in typing.get_args(kind))}]"
    if typing.get_origin(kind) is typing.Literal:
        return " or ".join(map(str, typing.get_args(kind)))
    return {float: "a number", int: "a whole number", bool: "true or false"}.get(kind, str(kind))
