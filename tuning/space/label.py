"""A name for each combination: '3-conv-64-filters-0-dense'. Safe as the name of a file and of a TensorBoard run."""

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

from tuning.space.parameters import Space

LONGEST = 64
LONGEST_VALUE = 24


def label(space: Space, values: Mapping[str, Any]) -> str:
    """What a combination is called: its values with their names, in the order of the space.

    At most 64 letters, digits, hyphens and full stops. Where a number was rounded or something was left out for that,
    the name ends in a digest of all values, so that other values have another name.

    Args:
        space: What the values are of.
        values: Name -> value of the parameters that are there.

    Example:
        >>> from tuning.space.parameters import Choice, Float
        >>> space = (Choice(name="blocks", values=(1, 3), label="conv"), Float(name="dropout", low=0.0, high=0.5))
        >>> label(space, {"blocks": 3, "dropout": 0.25})
        '3-conv-0.25-dropout'
    """
    names = {parameter.name: parameter.label or parameter.name for parameter in space}
    pieces = [_piece(values[name], _safe(shown)) for name, shown in names.items() if name in values]
    texts = [text for text, _ in pieces]
    name = "-".join(texts)
    if all(exact for _, exact in pieces) and len(name) <= LONGEST:
        return name
    digest = hashlib.sha256(json.dumps(dict(values), sort_keys=True).encode()).hexdigest()[:8]
    while len("-".join([*texts, digest])) > LONGEST:
        texts.pop()
    return "-".join([*texts, digest])


def _piece(value: Any, name: str) -> tuple[str, bool]:
    """(text, whether it says all of the value)."""
    if isinstance(value, bool):
        return (name if value else f"no-{name}"), True
    if value is None or value == []:
        return f"no-{name}", True
    if isinstance(value, float):
        text = f"{value:.3g}".replace("+", "")
        return f"{text}-{name}", float(text) == value
    items = value if isinstance(value, list) else [value]
    plain = "-".join(str(item) for item in items)
    text = _safe(plain)[:LONGEST_VALUE].strip("-.")
    return f"{text}-{name}", text == plain


def _safe(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9.]+", "-", text).strip("-.")
