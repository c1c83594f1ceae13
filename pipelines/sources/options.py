"""The options of a source and of how it is divided. Without TensorFlow."""

import dataclasses
import math
import os
import re
from pathlib import Path
from typing import Any, Literal

from base.errors import input_error, require
from base.options import option
from pipelines.conversion.splits import TEST_SHARE

DIGITS = "digits"
TFDS = "tfds:"
RECORDS = "records:"
SPLIT_NAME = re.compile(r"(?!all$)[A-Za-z]\w*", re.ASCII)  # stands in file names; TFDS means every split by "all"
SPLIT_NAME_RULE = "letters, digits and underscores, a letter first, not 'all'"


@dataclasses.dataclass(frozen=True, kw_only=True)
class SourceOptions:
    """Which images, of which classes, in which splits."""

    source: str = option(
        help="folder of class folders or images, .zip or .tar of one, .csv or .tsv table, .npz file, folder of .npy or "
        "IDX files, tfds:NAME[/CONFIG], folder of a TFDS dataset, records:GLOB of TFRecords, or 'digits'"
    )
    seed: int = option(0, help="draws the splits and the order of the examples")
    split: str = option("", help="NAME=SHARE,... divides a source without splits; train=1: all of it")
    hold_out: str = option(
        f"validation={TEST_SHARE}", help="share of the images for validation where SOURCE has none of its own; 0: none"
    )
    rename_split: str = option("", help="OLD=NEW,... of SOURCE's own splits, before --hold-out looks at them")
    merge_splits: bool = option(False, help="divide anew what SOURCE has divided")
    balance: Literal["none", "undersample"] = option(
        "none", help="undersample: as many examples of every class of a split as its rarest class has"
    )
    class_names: tuple[str, ...] = option((), help="classes in their order; names of the labels 0, 1, ...")
    label_pattern: str = option("", help="folder of images: regular expression of the label in a file's name")
    image_column: str = option("image", help="table: column of the images' paths or names")
    label_column: str = option("label", help="table: column of the labels")
    split_column: str = option("", help="table: column of the splits")
    group_column: str = option("", help="table: column of what must not be divided, such as the patient")
    image_suffix: str = option("", help="table: what the image column's values lack, such as .jpg")
    images: str = option("", help="table: folder, .zip or .tar of its images; default: the table's own folder")
    delimiter: str = option("", help="table: what parts the columns, or 'tab'; default: found out")
    image_key: str = option("", help="TFRecords: feature of the images (records: image/encoded)")
    label_key: str = option("", help="TFRecords: feature of the labels (records: image/class/label)")
    value_range: Literal["auto", "0-1", "0-255", "0-65535"] = option("auto", help="arrays: black and white")

    def __post_init__(self) -> None:
        """Refuses what can be seen without looking at the source."""
        require(bool(self.source), "Expected SOURCE to be a path or 'digits'", source=self.source)
        require(0 <= self.seed < 2**63, "Expected --seed from 0 to 2**63 - 1", seed=self.seed)
        _held_out(self.hold_out)
        if self.shares:
            one = "Expected either --split or --hold-out: what --split names is all there is"
            require(self.hold_out == _default("hold_out"), one, split=self.split, hold_out=self.hold_out)
        require(all(self.renamed.values()), "Expected --rename-split OLD=NEW,...", rename_split=self.rename_split)
        names = self.class_names
        twice = sorted({name for name in names if names.count(name) > 1})
        require(not twice, "Expected different names in --class-names", twice=twice)
        require(len(names) != 1, "Expected at least two names in --class-names", class_names=list(names))
        try:
            re.compile(self.label_pattern)
        except re.error as error:
            pattern = self.label_pattern
            raise input_error("Expected a regular expression", label_pattern=pattern, error=str(error)) from None
        fits = self.delimiter in ("", "tab") or (len(self.delimiter) == 1 and self.delimiter not in '"\r\n')
        require(fits, "Expected --delimiter of one character, or 'tab'", delimiter=self.delimiter)

    @property
    def source_path(self) -> Path | None:
        """Where the source lies, links resolved; None for the embedded digits and TFDS's own sets."""
        if self.source == DIGITS or self.source.startswith(TFDS):
            return None
        return Path(os.path.realpath(self.source.removeprefix(RECORDS)))

    @property
    def shares(self) -> dict[str, float]:
        """What --split says: name -> share, adding up to 1; empty where it is not given."""
        return _shares(self.split) if self.split else {}

    @property
    def held_out(self) -> float:
        """The share of the images that becomes validation where the source has none."""
        return _held_out(self.hold_out)

    @property
    def renamed(self) -> dict[str, str]:
        """What --rename-split says: old name -> new name."""
        return _pairs(self.rename_split, "--rename-split OLD=NEW,...") if self.rename_split else {}

    def changed(self) -> dict[str, Any]:
        """The options, apart from the source, that have another value than their default."""
        default = SourceOptions(source=self.source)
        names = [field.name for field in dataclasses.fields(self) if field.name != "source"]
        return {name: getattr(self, name) for name in names if getattr(self, name) != getattr(default, name)}

    def made_by(self) -> dict[str, Any]:
        """What splits and order depend on, as JSON holds it: equal for two commands that divide the same alike."""
        kind = RECORDS if self.source.startswith(RECORDS) else ""
        made_by = {
            "source": self.source if self.source_path is None else f"{kind}{self.source_path}",
            "seed": self.seed,
            "hold_out": {"validation": self.held_out},
            "value_range": self.value_range,
            "class_names": list(self.class_names),
        }
        made_by |= {name: value for name, value in self.changed().items() if name not in made_by}
        if self.shares:
            del made_by["hold_out"]
            made_by["split"] = self.shares
        if self.renamed:
            made_by["rename_split"] = self.renamed
        if self.images:
            made_by["images"] = os.path.realpath(self.images)
        return made_by


def _default(name: str) -> Any:
    return next(field.default for field in dataclasses.fields(SourceOptions) if field.name == name)


def _pairs(text: str, form: str) -> dict[str, str]:
    """`A=B,C=D` as a dict."""
    pairs = [part.partition("=") for part in text.split(",")]
    names = [name.strip() for name, _, _ in pairs]
    good = all(equals for _, equals, _ in pairs) and len(set(names)) == len(names)
    require(good, f"Expected {form}, each name once", value=text)
    return {name: value.strip() for name, (_, _, value) in zip(names, pairs, strict=True)}


def _shares(text: str) -> dict[str, float]:
    form = "--split NAME=SHARE,..."
    shares = {name: _number(value) for name, value in _pairs(text, form).items()}
    odd = [name for name in shares if not SPLIT_NAME.fullmatch(name)]
    require(not odd, f"Expected names of {SPLIT_NAME_RULE} in --split", names=odd)
    good = all(share > 0 for share in shares.values()) and math.isclose(sum(shares.values()), 1, abs_tol=1e-9)
    do = "Give train=1 for all images in one split."
    require(good, f"Expected {form} with shares above 0 that add up to 1", split=text, sum=sum(shares.values()), do=do)
    return shares


def _held_out(text: str) -> float:
    name, equals, value = text.partition("=")
    if not equals:
        name, value = "validation", text
    share, most = _number(value), 1 - TEST_SHARE
    if name != "validation" or not (0 <= share < most) or (not equals and share != 0):
        raise input_error(
            f"Expected --hold-out validation=SHARE with a share from 0 to less than {most}, or --hold-out 0",
            hold_out=text,
            do="`test` is never held out of a training split.",
        )
    return share


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
