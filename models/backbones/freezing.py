"""Which layers of a backbone are trained. Free of TensorFlow at import.

A layer with `trainable=False` keeps its weights. Keras runs frozen batch normalisation in inference mode, in training
steps too: it neither normalises by the batch nor moves its averages. Dropout knows no such rule: the stochastic depth
of EfficientNets goes on in frozen blocks.
"""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from base.errors import nearest, require

if TYPE_CHECKING:
    import keras

_FORMS = "a share of the layers (0.3), a number of layers (20), a block's or layer's name, all or none"


def unfreeze(model: "keras.Model", what: str, *, batch_norm: bool = True) -> list[str]:
    """Freezes a model's backbone, but for the layers nearest to the output; the head is always trained.

    To be called before the optimizer is built, since that is for the trainable variables at that time.

    Args:
        model: Of `models.backbones.build.build_backbone_model`, or loaded from its file.
        what: See `unfrozen`.
        batch_norm: Whether batch normalisation among those layers is trained. False freezes all of it: it then works
            with the moving averages of the data that the weights come from, which a short fine-tuning hardly moves,
            though its batches are normalised by their own moments.

    Returns:
        The names of the layers that are trained, in order; those of the head left out.

    Raises:
        InputError: As `unfrozen`, or no such model.
    """
    import keras

    from models.backbones.build import backbone_layers

    layers = backbone_layers(model)
    last = set(unfrozen([layer.name for layer in layers], what))
    for layer in layers:
        kept = isinstance(layer, keras.layers.BatchNormalization) and not batch_norm
        layer.trainable = layer.name in last and not kept
    return [layer.name for layer in layers if layer.trainable]


def learning_rate_shares(model: "keras.Model", first: float) -> tuple[float, ...]:
    """Discriminative learning rates (Howard, Ruder 2018, https://arxiv.org/abs/1801.06146), over depth in geometric
    progression: 1 in the head, `first` in the backbone's first layer.

    Args:
        model: Of `models.backbones.build.build_backbone_model`.
        first: Above 0, at most 1.

    Returns:
        A share of the learning rate for each of `model.trainable_variables`.
    """
    from models.backbones.build import backbone_layers

    layers = backbone_layers(model)
    share = {
        id(variable): first ** (1 - place / len(layers))
        for place, layer in enumerate(layers)
        for variable in layer.variables
    }
    return tuple(share.get(id(variable), 1.0) for variable in model.trainable_variables)


def unfrozen(names: Sequence[str], what: str) -> list[str]:
    """The layers that are trained: the last ones.

    Args:
        names: Of the layers that have weights, from the input on.
        what: A share from 0 to 1, with a decimal point ("0.3"; rounded, at least one layer where it is above 0); a
            number of layers ("20"); the name of a layer, or what the names of a block's layers begin with ("block5",
            "conv5_block3"): from its first layer on; "all"; "none".

    Raises:
        InputError: None of these forms, more layers than there are, or no such block.
    """
    require_form(what)
    if what in ("all", "none"):
        return list(names) if what == "all" else []
    if re.fullmatch(r"\d+", what):
        count = int(what)
        require(
            count <= len(names), f"Expected --unfreeze of at most the backbone's {len(names)} layers", unfreeze=what
        )
    elif _share(what) is not None:
        count = min(len(names), max(round(_share(what) * len(names)), 1 if _share(what) else 0))
    else:
        # "block_1" is not the beginning of "block_10_conv".
        places = [i for i, name in enumerate(names) if re.match(rf"{re.escape(what)}(?!\d)", name)]
        require(places != [], "Expected --unfreeze with a block of the backbone", unfreeze=what, do=_like(what, names))
        count = len(names) - places[0]
    return list(names[len(names) - count :])


def require_form(what: str) -> None:
    """Refuses what `unfrozen` would, whatever the model."""
    share = _share(what)
    require(what != "" and (share is None or 0 <= share <= 1), f"Expected --unfreeze with {_FORMS}", unfreeze=what)


def _share(what: str) -> float | None:
    """What has a sign, a point or an exponent is a share; a whole number is one of layers."""
    if re.fullmatch(r"\d+", what) or not re.fullmatch(r"[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?", what):
        return None
    return float(what)


def _like(what: str, names: Sequence[str]) -> str:
    sentence = nearest(what, names)
    if sentence.startswith("Did"):
        return sentence
    step = max(1, len(names) // 10)
    return f"Some of its layers: {', '.join(names[::step])}."
