"""Where a backbone's weights come from: Keras' published files, or a file of the user's."""

import contextlib
import io
import itertools
import os
import re
import socket
import sys
import traceback
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import keras
import numpy as np

from base.errors import InputError, input_error, require

_TIMEOUT = 20  # seconds without an answer
_SHOWN = 3


class Pair(NamedTuple):
    """A layer, and what a file has for it.

    Attributes:
        layer: Its name; "" where the model has none for what is in the file.
        variables: Its weights.
        stored: Name in the file; "" where there is none.
        values: Datasets of the file, one a weight.
    """

    layer: str
    variables: list[keras.Variable]
    stored: str
    values: list[h5py.Dataset]


def imagenet_weights(name: str, build: Callable[[], keras.Model]) -> list[np.ndarray]:
    """The weights that Keras publishes, from its cache folder, or fetched into it.

    Args:
        name: Of the architecture, for errors.
        build: Builds it with `weights="imagenet"`.

    Raises:
        InputError: They can't be fetched, within a bounded time, or the file is broken.
    """
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_TIMEOUT)
    # Keras says on standard output how far it is; where that is no terminal it may be a table of predictions.
    aside = contextlib.nullcontext() if sys.stdout.isatty() else contextlib.redirect_stdout(sys.stderr)
    try:
        with aside:
            return build().get_weights()
    except Exception as error:  # Keras raises a plain one where a download fails
        url, place = _wanted(error)
        if url is None:
            if isinstance(error, OSError):
                raise input_error(
                    f"Expected a whole file of ImageNet weights of {name}",
                    error=_first_line(error),
                    do=f"Remove it from Keras' cache folder, {_keras_home()}/models, and run again.",
                ) from None
            raise
        raise input_error(
            f"Expected the ImageNet weights of {name} at {place}, or a network to fetch them",
            error=_first_line(error).split(" -- ")[-1],  # Keras' own begins with the address
            do=f"Fetch {url}, and put it there, or give it as --weights PATH.",
        ) from None
    finally:
        socket.setdefaulttimeout(before)


def load_weights(model: keras.Model, path: Path, what: str) -> None:
    """Gives a functional model the weights of a file; what the file has for further layers, such as a top, is left.

    Args:
        model: Its layers take what stands for them in the file.
        path: `.weights.h5` or `.keras` of Keras 3, or `.h5` of Keras before that: there, layers are told apart by their
            place; in files of Keras 3 by their kind and their place among those of the kind.
        what: The model's name, for errors.

    Raises:
        InputError: No such file, none with weights, or those of another architecture.
    """
    require(path.is_file(), f"Expected a file of weights for {what}", weights=str(path), do="There is no such file.")
    with _opened(path) as group:
        pairs = _pairs(model, group, path)
        _require_same(pairs, path, what)
        for pair in pairs:
            if pair.layer:
                for variable, value in zip(pair.variables, pair.values, strict=True):
                    variable.assign(value[()])


def _keras_home() -> Path:
    return Path(os.environ.get("KERAS_HOME", "~/.keras")).expanduser()


def _wanted(error: Exception) -> tuple[str | None, Path | None]:
    """The file that Keras could not get, and its place in the cache: only the frame of `get_file` knows both."""
    for frame, _ in traceback.walk_tb(error.__traceback__):
        if frame.f_code.co_name == "get_file" and "download_target" in frame.f_locals:
            return frame.f_locals["origin"], Path(frame.f_locals["download_target"])
    return None, None


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[h5py.Group]:
    """The part of a file that holds weights."""
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                source = io.BytesIO(archive.read("model.weights.h5"))
        else:
            source = path
        file = h5py.File(source)
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise input_error(
            f"Expected a file of weights that Keras has saved (.weights.h5, .h5 or .keras) at {path}",
            error=_first_line(error),
        ) from None
    with file:
        yield file.get("model_weights", file)


def _pairs(model: keras.Model, group: h5py.Group, path: Path) -> list[Pair]:
    if "layer_names" in group.attrs or "layer_names0" in group.attrs:
        return _legacy_pairs(model, group)
    require("layers" in group, f"Expected in {path} the weights of layers", content=sorted(group)[:_SHOWN])
    stored, places = dict(_stored(group["layers"])), list(_places(model))
    inside = _inside(stored, [place for place, _ in places])
    pairs = []
    for place, layer in places:
        name, values = stored.pop(inside + place, ("", []))
        if layer.weights or values:
            pairs.append(Pair(layer.name, layer.weights, name, values))
    return pairs + [Pair("", [], name, values) for name, values in stored.values() if values]


def _places(model: keras.Model, inside: tuple = ()) -> Iterator[tuple[tuple, keras.layers.Layer]]:
    """The layers under the keys that Keras 3 saves them by: of each kind the first, the second and so on."""
    counts = Counter()
    for layer in model.layers:
        kind = type(layer).__name__.lower()
        place = (*inside, (kind, counts[kind]))
        counts[kind] += 1
        if isinstance(layer, keras.Model):
            yield from _places(layer, place)
        else:
            yield place, layer


def _inside(stored: dict[tuple, Any], own: list[tuple]) -> tuple:
    """The layer of the stored model that the architecture is inside of; () where there is none around it."""
    around = [(), *sorted({place[:1] for place in stored if len(place) > 1})]
    return max(around, key=lambda layer: sum(layer + place in stored for place in own))


def _stored(group: h5py.Group, inside: tuple = ()) -> Iterator[tuple[tuple, tuple[str, list[h5py.Dataset]]]]:
    for key in group:
        match = re.fullmatch(r"(.*?)(?:_(\d+))?", key)
        place = (*inside, (match[1].replace("_", ""), int(match[2] or 0)))
        if "layers" in group[key]:
            yield from _stored(group[key]["layers"], place)
        elif "vars" in group[key]:
            values = group[key]["vars"]
            yield (
                place,
                (str(values.attrs.get("name", key)), [values[i] for i in sorted(values, key=lambda i: (len(i), i))]),
            )


def _legacy_pairs(model: keras.Model, group: h5py.Group) -> list[Pair]:
    stored = [(name, [group[name][value] for value in _names(group[name], "weight_names")]) for name in _names(group)]
    pairs = itertools.zip_longest(
        ((layer.name, layer.weights) for layer in model.layers if layer.weights),
        (item for item in stored if item[1]),
        fillvalue=("", []),
    )
    return [Pair(*own, *its) for own, its in pairs]


def _names(group: h5py.Group, kind: str = "layer_names") -> list[str]:
    """A list of names, which Keras splits where it is too long for one attribute of HDF5."""
    keys = [kind] if kind in group.attrs else [f"{kind}{i}" for i in range(len(group.attrs))]
    names = [name for key in keys if key in group.attrs for name in group.attrs[key]]
    return [name.decode() if isinstance(name, bytes) else str(name) for name in names]


def _require_same(pairs: list[Pair], path: Path, what: str) -> None:
    wrong = [pair for pair in pairs if pair.layer and _shapes(pair.variables) != _shapes(pair.values)]
    if not wrong:
        return
    own = sum(1 for pair in pairs if pair.layer)
    named = "; ".join(
        f"{pair.layer} {_shapes(pair.variables)}, in the file {_in_file(pair)}" for pair in wrong[:_SHOWN]
    )
    more = f"; and {len(wrong) - _SHOWN} more" if len(wrong) > _SHOWN else ""
    raise InputError(
        f"Expected in {path} the weights of {what}. Received: {len(wrong)} of {own} layers differ: {named}{more}."
    )


def _in_file(pair: Pair) -> str:
    return f"{pair.stored} {_shapes(pair.values)}" if pair.stored else "none"


def _shapes(values: list) -> str:
    return " ".join("x".join(map(str, value.shape)) or "scalar" for value in values)


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
