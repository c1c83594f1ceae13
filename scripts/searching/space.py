"""The space of a search, as the command line and its recipes ask for it."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from base.errors import input_error, require
from base.options import given, neutral_names, to_dict
from base.recipes import read_recipes
from models.backbones.table import is_backbone
from pipelines.augment.generator_options import joined_policy
from scripts.training import options as train_options
from tuning.space.check import require_buildable
from tuning.space.parameters import Space
from tuning.space.ready import ready_space
from tuning.space.recipe import is_searched, read_parameters
from tuning.space.space import joined, narrowed, searched, space_of, values_of

# What the run itself is told, as its folder, is the same in every trial.
SEARCHABLE = {title: group for title, group in train_options.GROUPS.items() if title != "run"}

_OF_PLACES = dict.fromkeys(
    ("intra_op_threads", "inter_op_threads", "decode_threads", "memory_budget", "strategy", "replicas"),
    "The place where a trial runs says it: --parallel and --devices-per-trial deal the machine out.",
)
# Options that no search can choose -> why.
_NOT_SEARCHED = dict.fromkeys(
    neutral_names(SEARCHABLE.values()), "It changes no number of a trial: all of its values are equally good."
)
_NOT_SEARCHED |= _OF_PLACES | {
    "seed": "The best of several seeds is the luckiest; --executions is the mean over seeds.",
    "final": "It says which epoch a trial is judged by: scores of both kinds are not comparable.",
}


def search_space(
    argv: Sequence[str], options: Mapping[str, Any], name: str | None, image_size: int
) -> tuple[Space, dict[str, Any]]:
    """What is searched, and what is not: the ready-made space, with what the recipes search in its place or beside it,
    without what the recipes or the command line fix.

    Args:
        argv: Of the command.
        options: Title -> instance, as `parse(..., argv, leave_out=is_searched)` gives them; others may be there.
        name: Of the ready-made space; None: what the recipes search, or `cnn` where they search nothing.
        image_size: Height and width of what the model sees, in pixels.

    Returns:
        The space, and option -> value of what is fixed in it, by the user or by the ready-made space.

    Raises:
        InputError: Nothing is left to search, or training would refuse a value.
    """
    training = to_dict(*(group for title, group in options.items() if title in SEARCHABLE))
    own = read_parameters(*read_recipes(argv), SEARCHABLE)
    for name in (name for parameter in own for name in parameter.options if name in _NOT_SEARCHED):
        raise input_error("Expected an option that can be searched", option=name, do=_NOT_SEARCHED[name])
    if own and name is None:
        space, fixed = space_of(own), {}
    else:
        augments = joined_policy(options["augmentation"], options["generator"]) is not None
        ready = ready_space(name or "cnn", image_size, training, augments=augments)
        space = joined(ready.space, own)
        fixed = {option: value for option, value in ready.fixed.items() if option not in searched(own)}
    fixed |= {option: training[option] for option in given(argv, SEARCHABLE, leave_out=is_searched)}
    space = narrowed(space, fixed)
    _require_models_with(space, {**training, **fixed})
    require_buildable(space, {**training, **fixed}, SEARCHABLE)
    return space, fixed


def _require_models_with(space: Space, options: Mapping[str, Any]) -> None:
    """Refuses to search what no model of the search has: such trials would differ in nothing but their names."""
    models = values_of("model", space, options)
    has_backbone = any(is_backbone(model) for model in models)
    for title, has in (("cnn", "cnn" in models), ("backbone", has_backbone), ("fine-tuning", has_backbone)):
        of_title = {field.name for field in dataclasses.fields(SEARCHABLE[title])}
        idle = sorted({name for parameter in space for name in parameter.options if name in of_title})
        require(
            has or not idle,
            f"Expected to search what a model of the search has. Without meaning: {', '.join(idle)}",
            model=", ".join(sorted(models)),
            do="Choose another --model or --space.",
        )
