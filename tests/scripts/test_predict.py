import csv
import io
import json
import sys
import tarfile
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from models.imagenet import imagenet_classes
from pipelines.manifest import read_manifest
from pipelines.reading.example_ids import read_ids
from pipelines.reading.split_files import SplitFiles
from scripts import build_tfrecords, predict, train
from tests.scripts.conftest import SMALL, write_photos

CLASSES = ["cat", "dog", "owl"]


@pytest.fixture(scope="module")
def run(data, tmp_path_factory):
    """A run of three classes; its photos lie in `data.parent / "source"`."""
    run = tmp_path_factory.mktemp("runs") / "run"
    argv = ["--data", str(data), "--run", str(run), "--epochs", "3", "--learning-rate", "0.01", *SMALL]
    assert train.main([*argv, "--fit", "crop"]) == 0
    return run


def read_csv(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def scores_of(rows, classes=CLASSES):
    return np.array([[np.float32(row[f"score:{name}"]) for name in classes] for row in rows])


def pixels_at_16(path):
    """What a photo wider than high becomes with --fit crop, worked out here."""
    pixels = tf.io.decode_image(path.read_bytes(), channels=3)
    side = min(pixels.shape[:2])
    top, left = (pixels.shape[0] - side) // 2, (pixels.shape[1] - side) // 2
    square = pixels[top : top + side, left : left + side]
    return np.round(tf.image.resize(square, (16, 16), antialias=True).numpy())


def test_files_are_predicted_as_the_evaluation_of_the_training_has_judged_them(run, data, tmp_path):
    ids = read_ids(SplitFiles(folder=data, manifest=read_manifest(data), name="test"))
    out = tmp_path / "out.csv"
    photos = [str(data.parent / "source" / name) for name in ids]
    assert predict.main([str(run), *photos, "--out", str(out), "--all-scores", "--batch-size", "4"]) == 0
    rows = read_csv(out)
    assert [row["image"] for row in rows] == photos and {row["error"] for row in rows} == {""}
    truth = [CLASSES.index(name.split("/")[0]) for name in ids]
    confusion = np.zeros((3, 3), int)
    for label, row in zip(truth, rows, strict=True):
        confusion[label, CLASSES.index(row["class_1"])] += 1
    evaluation = json.loads((run / "evaluation.json").read_text())
    assert confusion.tolist() == evaluation["confusion_matrix"]
    scores = scores_of(rows)
    assert -np.log(scores[np.arange(len(ids)), truth]).mean() == pytest.approx(evaluation["loss"], rel=1e-4)
    model = keras.models.load_model(run / "model.keras")
    images = np.stack([pixels_at_16(Path(photo)) for photo in photos])
    np.testing.assert_allclose(scores, model.predict(images, verbose=0), rtol=1e-4, atol=1e-6)
    for row, of_image in zip(rows, scores, strict=True):
        order = np.argsort(-of_image)
        assert [row[f"class_{place}"] for place in (1, 2, 3)] == [CLASSES[n] for n in order]
        assert [np.float32(row[f"score_{place}"]) for place in (1, 2, 3)] == of_image[order].tolist()


def test_files_take_the_form_that_the_data_set_gave_its_images(run, data, tmp_path):
    copy, photo = tmp_path / "run", data.parent / "source" / "cat" / "1.jpg"
    copy.mkdir()
    for name in ("config.yaml", "model.keras"):
        (copy / name).write_bytes((run / name).read_bytes())
    environment = json.loads((run / "environment.json").read_text())
    environment["stored_as"] = {"encoding": "raw", "resize": "exact=10x14", "quality": None, "channels": 1}
    (copy / "environment.json").write_text(json.dumps(environment))
    out = tmp_path / "out.csv"
    assert predict.main([str(copy), str(photo), "--out", str(out), "--all-scores"]) == 0
    grey = tf.io.decode_jpeg(photo.read_bytes(), channels=1).numpy()[..., 0]
    small = np.asarray(Image.fromarray(grey).resize((14, 10), Image.Resampling.BILINEAR))[:, 2:12]
    pixels = np.repeat(np.round(tf.image.resize(small[..., np.newaxis], (16, 16), antialias=True)), 3, axis=-1)
    expected = keras.models.load_model(run / "model.keras").predict(pixels[np.newaxis], verbose=0)
    np.testing.assert_allclose(scores_of(read_csv(out)), expected, rtol=1e-4)


def test_broken_files_get_a_row_with_the_reason_and_the_rest_is_predicted_as_without_them(run, data, tmp_path, capsys):
    photos = tmp_path / "photos"
    photos.mkdir()
    good = sorted((data.parent / "source" / "dog").iterdir())[:20]
    for place, photo in enumerate(good):
        (photos / f"{place:02}.jpg").write_bytes(photo.read_bytes())
    assert predict.main([str(run), str(photos), "--out", str(tmp_path / "whole.csv"), "--all-scores"]) == 0
    (photos / "03a.jpg").write_bytes(b"")
    (photos / "03b.jpg").write_bytes(good[0].read_bytes()[:-200])
    (photos / "11.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (photos / "12a.webp").write_bytes(b"RIFF\0\0\0\0WEBP")
    (photos / "13a.jpg").symlink_to("nowhere")
    (photos / "notes.txt").write_text("no image")
    out = tmp_path / "out.csv"
    assert predict.main([str(run), str(photos), "--out", str(out), "--all-scores", "--batch-size", "8"]) == 0
    rows = {Path(row["image"]).name: row for row in read_csv(out)}
    errors = {name: row.pop("error") for name, row in rows.items()}
    assert {name for name, error in errors.items() if error} == {"03a.jpg", "03b.jpg", "11.png", "12a.webp", "13a.jpg"}
    assert errors["03a.jpg"] == "the file is empty" and "RIFF" in errors["12a.webp"]
    assert errors["11.png"] == "broken PNG: it ends within its header"
    assert rows["03b.jpg"] == dict.fromkeys(rows["03b.jpg"], "") | {"image": str(photos / "03b.jpg")}
    kept = [row for name, row in rows.items() if not errors[name]]
    np.testing.assert_allclose(scores_of(kept), scores_of(read_csv(tmp_path / "whole.csv")), rtol=1e-5)
    printed = capsys.readouterr().out
    assert "25 images, 5 of them could not be used" in printed and "1 files passed over" in printed


def test_folder_glob_archives_and_list_hold_the_same_images_in_the_same_order(run, data, tmp_path, monkeypatch):
    folder = data.parent / "source"
    photos = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.jpg"))
    with zipfile.ZipFile(tmp_path / "photos.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name in photos:
            archive.write(folder / name, name)
    for ending, mode in ((".tar", "w"), (".tar.gz", "w:gz")):
        with tarfile.open(tmp_path / f"photos{ending}", mode) as archive:
            for name in photos:
                archive.add(folder / name, name)
    paths = {"folder": folder, "zip": tmp_path / "photos.zip", "tar": tmp_path / "photos.tar"}
    paths |= {"gz": tmp_path / "photos.tar.gz", "glob": folder / "**" / "*.jp*g", "list": "-"}
    listed = "".join(f"{folder / name}\n" for name in photos).encode()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(listed)))
    found = {}
    for kind, path in paths.items():
        out = tmp_path / f"{kind}.csv"
        assert predict.main([str(run), str(path), "--out", str(out), "--all-scores"]) == 0
        prefix = "" if kind == "list" else str(path)
        rows = read_csv(out)
        names = [row["image"].removeprefix(prefix if kind in ("zip", "tar", "gz") else str(folder))[1:] for row in rows]
        assert names == photos, kind
        found[kind] = scores_of(rows)
    assert len(photos) == 72
    for kind, scores in found.items():
        np.testing.assert_array_equal(scores, found["folder"], kind)


def test_an_unlabelled_table_becomes_a_submission(tmp_path, capsys):
    write_photos(tmp_path / "source", classes=("benign", "malignant"), count=12)
    data, run, out = tmp_path / "data", tmp_path / "run", tmp_path / "submission.csv"
    assert build_tfrecords.main([str(tmp_path / "source"), "--out", str(data)]) == 0
    argv = ["--data", str(data), "--run", str(run), "--epochs", "2", "--head", "sigmoid", "--channels", "1"]
    assert train.main([*argv, *SMALL]) == 0
    table = tmp_path / "test.csv"
    names = ["7", "3", "nowhere", "3"]
    table.write_text("image_name,patient_id\n" + "".join(f"{name},p{name}\n" for name in names))
    argv = [str(run), str(table), "--image-column", "image_name", "--image-suffix", ".jpg", "--out", str(out)]
    argv += ["--images", str(tmp_path / "source" / "malignant"), "--columns"]
    assert predict.main([*argv, "image_name,target"]) == 0
    assert "4 images, 1 of them could not be used (first: nowhere: No such file" in capsys.readouterr().out
    rows = read_csv(out)
    assert list(rows[0]) == ["image_name", "target"] and [row["image_name"] for row in rows] == names
    model = keras.models.load_model(run / "model.keras")
    for row in rows[:2]:
        file = (tmp_path / "source" / "malignant" / f"{row['image_name']}.jpg").read_bytes()
        grey = tf.image.resize(tf.io.decode_jpeg(file, channels=1), (16, 16), antialias=True)
        expected = model.predict(np.round(grey)[np.newaxis], verbose=0)[0, 0]
        assert np.float32(row["target"]) == pytest.approx(expected, rel=1e-5)
    assert rows[2]["target"] == "" and rows[3] == rows[1]
    columns = "id=image,yes=score:malignant,no=score:benign,is=class"
    assert predict.main([*argv, columns, "--overwrite", "--format", "jsonl"]) == 0
    line = json.loads(out.read_text().splitlines()[0])
    assert list(line) == ["id", "yes", "no", "is"] and line["yes"] == float(rows[0]["target"])
    assert np.float32(line["no"]) == 1 - np.float32(line["yes"])
    assert line["is"] == ("malignant" if line["yes"] > 0.5 else "benign")


def test_json_lines_and_the_table_say_the_same(run, data, tmp_path, capsys):
    photos = [str(data.parent / "source" / "cat" / f"{n}.jpg") for n in (4, 5)]
    broken = tmp_path / "zero\n\x1b[31m.jpg"
    broken.write_bytes(b"")
    assert predict.main([str(run), *photos, str(broken), "--top", "2", "--format", "jsonl"]) == 0
    captured = capsys.readouterr()
    lines = [json.loads(line) for line in captured.out.splitlines()]
    assert [line["image"] for line in lines] == [*photos, str(broken)]
    assert lines[2] == {"image": str(broken), "error": "the file is empty"}
    assert "3 images, 1 of them could not be used" in captured.err
    assert predict.main([str(run), *photos, str(broken), "--top", "2"]) == 0
    table = capsys.readouterr().out.splitlines()
    for line, shown in zip(lines[:2], table[:2], strict=True):
        first, second = line["top"]
        assert shown.split() == [
            line["image"],
            *(first["class"], f"{first['score']:.4f}"),
            *(second["class"], f"{second['score']:.4f}"),
        ]
    assert len(table) == 3 and table[2].endswith("error: the file is empty") and "\x1b" not in table[2]


def test_a_keras_file_and_a_saved_model_predict_as_the_run_does(run, data, tmp_path):
    photos = str(data.parent / "source" / "owl")
    model = keras.models.load_model(run / "model.keras")
    alone, pixels, files = tmp_path / "alone.keras", tmp_path / "pixels", tmp_path / "files"
    model.save(alone)
    model.export(pixels, verbose=False)

    class FromFiles(tf.Module):
        def __init__(self):
            self.model = model

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
        def serve(self, images):
            def pixels_of(file):
                square = tf.image.resize_with_crop_or_pad(tf.io.decode_jpeg(file, channels=3), 16, 16)
                return tf.cast(square, tf.float32)

            scores = self.model(tf.map_fn(pixels_of, images, fn_output_signature=tf.float32), training=False)
            return {"scores": scores, "label": tf.argmax(scores, axis=1)}

    module = FromFiles()
    tf.saved_model.save(module, str(files), {"serving_default": module.serve})
    (tmp_path / "names.txt").write_text("cat\ndog\nowl\n")
    wanted = tmp_path / "run.csv"
    assert predict.main([str(run), photos, "--out", str(wanted), "--all-scores"]) == 0
    expected = scores_of(read_csv(wanted))
    for name, path in (("alone", alone), ("pixels", pixels), ("file", run / "model.keras")):
        out = tmp_path / f"{name}.csv"
        argv = [str(path), photos, "--out", str(out), "--all-scores"]
        given = [] if name == "file" else ["--classes", str(tmp_path / "names.txt"), "--fit", "crop"]
        assert predict.main([*argv, *given]) == 0
        np.testing.assert_allclose(scores_of(read_csv(out)), expected, rtol=1e-4, atol=1e-6)
    owls = tmp_path / "owls"
    owls.mkdir()
    for place in range(5):
        (owls / f"{place}.jpg").write_bytes(Path(photos, f"{place}.jpg").read_bytes())
    (owls / "2a.jpg").write_bytes(Path(photos, "2.jpg").read_bytes()[:-150])
    out = tmp_path / "files.csv"
    assert predict.main([str(files), str(owls), "--out", str(out), "--all-scores", "--batch-size", "4"]) == 0
    rows = read_csv(out)  # without names the classes are numbers
    assert [bool(row["error"]) for row in rows] == [False, False, False, True, False, False]
    direct = module.serve(tf.constant([Path(photos, f"{place}.jpg").read_bytes() for place in range(5)]))["scores"]
    seen = scores_of([row for row in rows if not row["error"]], "012")
    np.testing.assert_allclose(seen, direct, rtol=1e-4, atol=1e-6)


def test_a_backbone_names_the_classes_of_imagenet(data, tmp_path):
    weights, photos = tmp_path / "top.weights.h5", sorted((data.parent / "source" / "cat").iterdir())[:3]
    plain = keras.applications.MobileNet(input_shape=(64, 64, 3), alpha=0.25, weights=None)
    plain.get_layer("conv_preds").set_weights([3 * w for w in plain.get_layer("conv_preds").get_weights()])
    plain.save_weights(weights)
    argv = ["MobileNet", *map(str, photos), "--weights", str(weights), "--width", "0.25", "--image-size", "64"]
    assert predict.main([*argv, "--top", "3", "--out", str(tmp_path / "out.csv")]) == 0
    images = [tf.image.resize(tf.io.decode_jpeg(photo.read_bytes()), (64, 64), antialias=True) for photo in photos]
    expected = plain.predict(np.round(np.stack(images)) / 127.5 - 1, verbose=0)
    for row, scores in zip(read_csv(tmp_path / "out.csv"), expected, strict=True):
        best = np.argsort(-scores)[:3]
        seen = np.array([np.float32(row[f"score_{place}"]) for place in (1, 2, 3)])
        np.testing.assert_allclose(seen, scores[best], rtol=1e-4)
        assert imagenet_classes().index(row["class_1"]) == best[0]


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (["{run}"], "paths"),
        (["{tmp}/nowhere", "{photo}"], "Expected MODEL"),
        (["{tmp}", "{photo}"], "Expected MODEL"),
        (["vgg16", "{photo}"], "Did you mean 'VGG16'?"),
        (["VGG16", "{photo}", "--weights", "none"], "Expected --weights imagenet, or a file"),
        (["{run}", "{photo}", "--weights", "imagenet"], "Expected --weights and --width only with a backbone"),
        (["VGG16", "{photo}", "--weights", ""], "Expected --weights imagenet, none, or a file"),
        (["MobileNet", "{photo}", "--weights", "{tmp}/none.h5"], "There is no such file"),
        (["MobileNetV2", "{photo}", "--width", "0"], "Expected --width above 0"),
        (["{unfinished}", "{photo}"], "Expected a finished run"),
        (["{photo}", "{photo}"], "Expected MODEL"),
        (["{broken}", "{photo}"], "Expected a model that Keras can load"),
        (["{feature_maps}", "{photo}"], "Expected {feature_maps} to give scores of classes"),
        (["{one_unit}", "{photo}"], "as a sigmoid does"),
        (["{two_inputs}", "{photo}"], "to take images [B, height, width, channels]"),
        (["{open}", "{photo}"], "Expected --image-size"),
        (["{run}", "{photo}", "--classes", "{two_names}"], "Expected a name for each of the 3 classes"),
        (["{run}", "{photo}", "--fit", "pad"], "Expected --fit crop"),
        (["{run}", "{photo}", "--image-size", "32"], "Expected --image-size 16"),
        (["{run}", "{tmp}/nothing.jpg"], "Expected a file or a folder"),
        (["{run}", "{tmp}/*.bmp"], "Expected files that match"),
        (["{run}", "{empty}"], "Expected an image in PATHS"),
        (["{run}", "{zero}"], "Expected an image that can be used"),
        (["{run}", "{two_names}"], "Expected an image that can be used"),
        (["{run}", "{table}"], "--image-column"),
        (["{run}", "{photo}", "--image-suffix", ".jpg"], "Expected options of tables"),
        (["{run}", "{photo}", "--columns", "id,target"], "only with two classes"),
        (["{run}", "{photo}", "--columns", "id=image,p=score:cow"], "Did you mean"),
        (["{run}", "{photo}", "--columns", "id=image", "--all-scores"], "Expected --columns or --all-scores"),
        (["{run}", "{photo}", "--columns", "id=image", "--top", "5"], "Expected --columns or --top"),
        (["{run}", "{photo}", "--top", "0"], "Expected --top"),
        (["{run}", "{photo}", "--out", "{tmp}/out.txt"], "Expected --out to be called .csv or .jsonl"),
        (["{run}", "{photo}", "--out", "{table}"], "Expected --out to name a new file"),
    ],
)
def test_bad_input_is_one_line_and_nothing_is_written(argv, told, run, data, bad_models, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "readme.md").write_text("no image")
    (tmp_path / "table.csv").write_text("file,label\n1.jpg,cat\n")
    (tmp_path / "names.txt").write_text("cat\ndog\n")
    (tmp_path / "zero.jpg").write_bytes(b"")
    places = {"run": run, "tmp": tmp_path, "photo": data.parent / "source" / "cat" / "1.jpg", **bad_models}
    places |= {name: tmp_path / name for name in ("empty",)}
    places |= {"table": tmp_path / "table.csv", "two_names": tmp_path / "names.txt", "zero": tmp_path / "zero.jpg"}
    argv = [part.format(**places) for part in argv]
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert predict.main([*argv, *([] if "--out" in argv else ["--out", str(tmp_path / "out.csv")])]) == 2
    error = capsys.readouterr().err
    assert told.format(**places) in error and error.count("\n") == 1, error
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


@pytest.fixture(scope="module")
def bad_models(run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    (folder / "unfinished").mkdir()
    for name in ("config.yaml", "environment.json"):
        (folder / "unfinished" / name).write_bytes((run / name).read_bytes())
    (folder / "broken.keras").write_bytes((run / "model.keras").read_bytes()[:500])
    image, other = keras.Input((8, 8, 3)), keras.Input((8, 8, 3))
    vector = keras.layers.Flatten()(image)
    keras.Model(image, keras.layers.Conv2D(2, 3)(image)).save(folder / "feature_maps.keras")
    keras.Model(image, keras.layers.Dense(1)(vector)).save(folder / "one_unit.keras")
    keras.Model([image, other], keras.layers.Dense(2)(vector)).save(folder / "two_inputs.keras")
    anything = keras.Input((None, None, 3))
    keras.Model(anything, keras.layers.GlobalAveragePooling2D()(anything)).save(folder / "open.keras")
    names = ("broken", "feature_maps", "one_unit", "two_inputs", "open")
    return {"unfinished": folder / "unfinished", **{name: folder / f"{name}.keras" for name in names}}
