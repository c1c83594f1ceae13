"""Recipes hold options that the train command takes, headers hold commands that work, and `digits` gives what its says.

Recipes whose photos are not at hand are run on small ones of the same form, by the commands of their own headers.
"""

import csv
import json
import math
import shlex
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from base.options import parse
from pipelines.conversion.options import ConvertOptions, RunOptions, VerifyOptions
from pipelines.manifest import read_manifest
from pipelines.reading.example_ids import read_ids
from pipelines.reading.split_files import SplitFiles
from pipelines.sources.options import SourceOptions
from scripts import build_tfrecords, evaluate, predict, train
from scripts.judging.evaluate_options import EvaluateOptions
from scripts.training.options import GROUPS as TRAIN_GROUPS

RECIPES = Path(__file__).parent.parent / "recipes"
PATHS = sorted(RECIPES.glob("*.yaml"))
COMMANDS = {"build_tfrecords": build_tfrecords, "train": train, "evaluate": evaluate, "predict": predict}
CONVERSION = {"source": SourceOptions, "conversion": ConvertOptions, "run": RunOptions, "verification": VerifyOptions}
GROUPS = {
    "build_tfrecords": (CONVERSION, ("source",)),
    "train": (TRAIN_GROUPS, ()),
    "evaluate": ({"evaluation": EvaluateOptions}, ("run",)),
    "predict": (predict.GROUPS, ("model", "paths")),
}


def header_of(path):
    return path.read_text(encoding="utf-8").partition("\n\n")[0]


def commands_of(path):
    """(command's name, its arguments), in the header's order."""
    joined = header_of(path).replace("\\\n#", " ")
    lines = [line.removeprefix("#").strip() for line in joined.splitlines()]
    words = [shlex.split(line, comments=True) for line in lines if line.startswith("scripts/")]
    return [(Path(script).stem, arguments) for script, *arguments in words]


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_a_recipe_and_the_commands_of_its_header_are_taken(path, monkeypatch):
    monkeypatch.chdir(RECIPES.parent)
    header, commands = header_of(path), commands_of(path)
    assert all(line.startswith("#") for line in header.splitlines())
    assert "accuracy" in header and ("CPU cores" in header or "GPU" in header)
    assert [name for name, _ in commands][:2] == ["build_tfrecords", "train"]
    for name, arguments in commands:
        groups, positional = GROUPS[name]
        parse(f"{name}.py", "", groups, arguments, positional)
    built, trained = commands[0][1], commands[1][1]
    assert built[built.index("--out") + 1] == trained[trained.index("--data") + 1]
    assert trained[trained.index("--config") + 1] == f"recipes/{path.name}"


def write_photo(path, colour):
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(abs(hash(path.name)) % 2**32).integers(0, 60, (40, 48, 3))
    path.write_bytes(tf.io.encode_jpeg((noise + np.array(colour)).astype(np.uint8)).numpy())


def write_folders(folder, splits, classes, suffix):
    for split, count in splits.items():
        for place, name in enumerate(classes):
            for i in range(count):
                write_photo(folder / split / name / f"{split}_{name}_{i}{suffix}", (150 * place, 90, 0))


def write_horses_or_humans():
    write_folders(Path("photos"), {"train": 20, "test": 4}, ("horses", "humans"), ".png")
    return "photos"


def write_cifar10():
    rng = np.random.default_rng(0)
    arrays = {}
    for split, count in (("train", 40), ("test", 20)):
        arrays[f"x_{split}"] = rng.integers(0, 256, (count, 32, 32, 3), np.uint8)
        arrays[f"y_{split}"] = (np.arange(count) % 10)[:, None]  # as keras.datasets gives them
    np.savez("cifar10.npz", **arrays)
    return "cifar10.npz"


def write_imagenet():
    write_folders(Path("imagenet"), {"train": 50, "val": 4}, ("n01440764", "n01443537"), ".JPEG")
    return "imagenet"


def write_melanoma():
    """20 patients of two photos each, every fourth photo a melanoma; three photos without labels."""
    columns = ["image_name", "patient_id", "sex", "age_approx", "diagnosis", "benign_malignant", "target"]
    names = [f"ISIC_{i:07}" for i in range(43)]
    for i, name in enumerate(names):
        write_photo(Path("jpeg", "train" if i < 40 else "test", f"{name}.jpg"), (150 * (i % 4 == 0), 90, 0))
    known = [[name, f"IP_{i // 2:07}", "male", "45.0", "", "", int(i % 4 == 0)] for i, name in enumerate(names)]
    for table, rows, width in (("train.csv", known[:40], 7), ("test.csv", known[40:], 4)):
        with open(table, "w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([columns[:width], *(row[:width] for row in rows)])
    return "train.csv"


SMALL = ["--weights", "none", "--image-size", "32", "--batch-size", "8", "--epochs", "1", "--warmup", "0"]
ELSEWHERE = {
    "horses_or_humans": (write_horses_or_humans, ["--image-size", "128", "--batch-size", "8", "--epochs", "1"], 8),
    "horses_or_humans_vgg16": (write_horses_or_humans, SMALL, 8),
    "cifar10": (write_cifar10, SMALL, 20),
    "imagenet_resnet50": (write_imagenet, SMALL, 8),
    "melanoma": (write_melanoma, SMALL, 4),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", ELSEWHERE)
def test_a_recipe_runs_by_the_commands_of_its_header_on_small_data_of_the_same_form(name, tmp_path, monkeypatch):
    require_header_runs(name, tmp_path, monkeypatch, [])


def test_a_recipe_runs_by_the_commands_of_its_header_with_a_small_net(tmp_path, monkeypatch):
    require_header_runs("cifar10", tmp_path, monkeypatch, ["--model", "resnet-8"])


def require_header_runs(name, folder, monkeypatch, net):
    write, small, judged = ELSEWHERE[name]
    monkeypatch.chdir(folder)
    Path("recipes").symlink_to(RECIPES)
    source = write()
    commands = commands_of(RECIPES / f"{name}.yaml")
    for command, arguments in commands:
        if command == "build_tfrecords":
            assert arguments[0] == source or arguments[0].startswith("tfds:")
            arguments = [source, *arguments[1:]]
        argv = [*arguments, *([*small, *net] if command == "train" else [])]
        assert COMMANDS[command].main(argv) == 0, command
    run = Path(commands[1][1][commands[1][1].index("--run") + 1])
    evaluation = json.loads((run / "evaluation.json").read_text())
    assert evaluation["examples"] == judged and math.isfinite(evaluation["loss"])
    if name == "melanoma":
        require_no_patient_in_two_splits()
        require_submission()


def require_no_patient_in_two_splits():
    folder = Path("data/melanoma")
    manifest = read_manifest(folder)
    patients = {}
    for split in ("train", "validation", "test"):
        for photo in read_ids(SplitFiles(folder=folder, manifest=manifest, name=split)):
            number = int(Path(photo).stem.removeprefix("ISIC_"))
            assert patients.setdefault(number // 2, split) == split
    assert len(patients) == 20


def require_submission():
    with open("submission.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["image_name", "target"]
    assert [row["image_name"] for row in rows] == ["ISIC_0000040", "ISIC_0000041", "ISIC_0000042"]
    assert all(0 < float(row["target"]) < 1 for row in rows)


@pytest.mark.slow
def test_the_digits_recipe_reaches_the_accuracy_that_its_header_promises(tmp_path):
    data, run = tmp_path / "data", tmp_path / "run"
    assert build_tfrecords.main(["digits", "--out", str(data)]) == 0
    assert train.main(["--data", str(data), "--run", str(run), "--config", str(RECIPES / "digits.yaml")]) == 0
    assert json.loads((run / "evaluation.json").read_text())["accuracy"] >= 0.98
