"""What the curves of a run say: divergence, over-fitting, a plateau, dead input, vanishing gradients. Pure arithmetic.

Each finding is a line with the usual remedies, as a colleague would say it who looks over one's shoulder.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

Row = Mapping[str, Any]  # a line of metrics.jsonl: an epoch's logs

_PART = 1.05  # validation loss above its best by this factor, while training loss falls by it: over-fitting
_BETTER = 0.99  # a loss below this share of the one before it is an improvement
_STILL = 5  # epochs without one that make a plateau
_WAITING = 0.1
_VANISHING = 1e-4  # of the median layer's gradient
_CHANCE = 0.02  # a loss nearer than this to that of guessing, relatively, and never farther: nothing was learnt
_CALMER = "A lower --learning-rate, --clip-global-norm or --warmup"


@dataclasses.dataclass(frozen=True)
class Finding:
    """Something that the curves show."""

    kind: str
    text: str

    def __str__(self) -> str:
        return self.text


def diagnose(rows: Sequence[Row], classes: int) -> list[Finding]:
    """What is to be said of a run.

    Args:
        rows: Of all epochs, in order, `epoch` counted from 1.
        classes: How many there are.

    Returns:
        The findings, the gravest first; none where all went as one would wish.
    """
    if not rows:
        return []
    finders = (_diverged, _learnt_nothing, _over_fitted, _plateaued, _vanishing, _waited)
    found = (finder(rows, classes) for finder in finders)
    return [Finding(finder.__name__.strip("_"), text) for finder, text in zip(finders, found, strict=True) if text]


def over_fits_from(rows: Sequence[Row]) -> int | None:
    """The epoch from which on validation loss only rises while training loss falls; None: there is none."""
    values = _curve(rows, "val_loss")
    if len(values) < 3:
        return None
    best = min(range(len(values)), key=values.__getitem__)
    losses = _curve(rows, "loss")
    parted = values[-1] > values[best] * _PART and losses[-1] * _PART < losses[best]
    return int(rows[best]["epoch"]) if parted and best < len(values) - 1 else None


def _diverged(rows: Sequence[Row], classes: int) -> str | None:
    losses = [row.get("loss") for row in rows]
    bad = next((row["epoch"] for row, loss in zip(rows, losses, strict=True) if not _is_number(loss)), None)
    if bad is not None:
        return f"diverged: the loss is no number from epoch {bad} on. {_CALMER}"
    least = min(range(len(losses)), key=losses.__getitem__)
    if losses[-1] > 2 * losses[least] and losses[-1] > losses[0]:
        return (
            f"diverging: the training loss rose from {losses[least]:.3g} in epoch {rows[least]['epoch']} to "
            f"{losses[-1]:.3g}. {_CALMER}"
        )
    return None


def _learnt_nothing(rows: Sequence[Row], classes: int) -> str | None:
    losses, guessing = _curve(rows, "loss"), math.log(classes)
    if len(rows) < 3 or len(losses) < len(rows) or any(abs(loss / guessing - 1) > _CHANCE for loss in losses):
        return None
    return (
        f"learnt nothing: the loss stayed at {losses[-1]:.3g}, that of guessing among {classes} classes. "
        "Look at what the model sees (scripts/preview.py), then try another --learning-rate"
    )


def _over_fitted(rows: Sequence[Row], classes: int) -> str | None:
    epoch = over_fits_from(rows)
    if epoch is None:
        return None
    return (
        f"over-fitting from epoch {epoch} on: validation loss rose from {_at(rows, epoch, 'val_loss'):.3g} to "
        f"{rows[-1]['val_loss']:.3g} while training loss fell from {_at(rows, epoch, 'loss'):.3g} to "
        f"{rows[-1]['loss']:.3g}. --augment, --dropout, --weight-decay, or --early-stopping"
    )


def _plateaued(rows: Sequence[Row], classes: int) -> str | None:
    name = "val_loss" if "val_loss" in rows[0] else "loss"
    values = _curve(rows, name)
    if len(values) < len(rows) or over_fits_from(rows) is not None:
        return None
    best, since = math.inf, 0
    for value in values:
        since = 0 if value < best * _BETTER else since + 1
        best = min(best, value)
    if since < max(_STILL, len(values) // 3):
        return None
    word = "validation loss" if name == "val_loss" else "training loss"
    return (
        f"a plateau: {word} has not improved by a hundredth for {since} epochs. --reduce-lr-on-plateau or a "
        "--schedule; a larger model, if training loss stands still as well"
    )


def _vanishing(rows: Sequence[Row], classes: int) -> str | None:
    norms = {name: norm for name, norm in (rows[-1].get("gradient_norms") or {}).items() if _is_number(norm)}
    if len(norms) < 3:
        return None
    median = sorted(norms.values())[len(norms) // 2]
    weak = [name for name, norm in norms.items() if norm < median * _VANISHING]
    if not weak:
        return None
    more = f" and {len(weak) - 1} more" if len(weak) > 1 else ""
    return (
        f"vanishing gradients: {weak[0]}{more} got less than {_VANISHING:g} of what the median layer gets. "
        "--batch-norm, another --activation or --kernel-initializer, or fewer --blocks"
    )


def _waited(rows: Sequence[Row], classes: int) -> str | None:
    # An epoch on stored features takes a thousandth of one on images, and counts as little.
    times = [(row["waiting"], 1 / row["images_per_second"]) for row in rows if row.get("images_per_second")]
    share = sum(waiting * time for waiting, time in times) / sum(time for _, time in times) if times else 0.0
    if share <= _WAITING:
        return None
    return f"waiting for input took {share:.0%} of the training time. scripts/doctor.py says what binds it"


def _at(rows: Sequence[Row], epoch: int, name: str) -> float:
    return next(row[name] for row in rows if row["epoch"] == epoch)


def _curve(rows: Sequence[Row], name: str) -> list[float]:
    return [row[name] for row in rows if _is_number(row.get(name))]


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and math.isfinite(value)
