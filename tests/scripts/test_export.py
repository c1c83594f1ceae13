"""Exports of a run, each loaded again in the runtime that it is for."""

import io
import json
import zipfile

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from pipelines.images.decode import decode_file
from pipelines.images.input_options import InputSpec
from scripts import build_tfrecords, export, predict, train
from scripts.judging import exporting
from tests.scripts.conftest import OWN, SMALL

CLASSES = ["cat", "dog", "owl"]


@pytest.fixture(scope="module")
def run(data, tmp_path_factory):
    path = tmp_path_factory.mktemp("runs") / "run"
    assert train.main(["--data", str(data), "--run", str(path), *SMALL, "--epochs", "6", "--batch-norm"]) == 0
    return path


@pytest.fixture(scope="module")
def model(run):
    return keras.models.load_model(run / "model.keras")


@pytest.fixture(scope="module")
def pixels():
    """Images of the data set's kind: int8 is calibrated on such."""
    images = np.random.default_rng(1).integers(0, 90, (6, 16, 16, 3))
    for number, image in enumerate(images):
        image[:, :, number % 3] += 120
    return images.astype(np.uint8)


def exported(run, out, *argv):
    assert export.main([str(run), "--out", str(out), *argv]) == 0
    return out


def packed(path):
    with zipfile.ZipFile(path) as archive:
        return archive.read("labels.txt").decode().split(), json.loads(archive.read("about.json"))


@pytest.fixture(scope="module")
def served(run, tmp_path_factory):
    return exported(run, tmp_path_factory.mktemp("served") / "m", "--format", "saved_model")


def test_a_keras_file_is_loaded_by_plain_keras_and_carries_its_labels(run, model, pixels, tmp_path, capsys):
    out = exported(run, tmp_path / "m.keras", "--format", "keras")
    np.testing.assert_array_equal(keras.models.load_model(out).predict(pixels), model.predict(pixels))
    labels, metadata = packed(out)
    assert labels == metadata["classes"] == CLASSES
    assert (metadata["image_size"], metadata["channels"], metadata["fit"]) == (16, 3, "stretch")
    assert "100.00% of 7 images" in capsys.readouterr().out


def held(path):
    """Types of the numbers in a file of TensorFlow Lite."""
    from ai_edge_litert.interpreter import Interpreter

    return {tensor["dtype"] for tensor in Interpreter(model_path=str(path)).get_tensor_details()}


def lite(path, pixels):
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(path))
    interpreter.allocate_tensors()
    (given,), (wanted,) = interpreter.get_input_details(), interpreter.get_output_details()
    assert given["dtype"] == np.float32 and wanted["dtype"] == np.float32
    scores = []
    for image in pixels:
        interpreter.set_tensor(given["index"], image[None].astype(np.float32))
        interpreter.invoke()
        scores.append(interpreter.get_tensor(wanted["index"])[0])
    return np.stack(scores)


def test_tflite_runs_in_its_own_interpreter_in_every_precision(run, model, pixels, tmp_path):
    expected, sizes = model.predict(pixels), {}
    quantised = {"float32": set(), "float16": {np.float16}, "int8": {np.int8}}
    for precision, tolerance in (("float32", 1e-5), ("float16", 1e-2), ("int8", 0.1)):
        out = exported(run, tmp_path / f"{precision}.tflite", "--format", "tflite", "--precision", precision)
        scores = lite(out, pixels)
        np.testing.assert_allclose(scores, expected, atol=tolerance)
        assert {np.float16, np.int8} & held(out) == quantised[precision]
        assert (np.abs(scores - expected).max() > 1e-6) == (precision != "float32")
        sizes[precision] = out.stat().st_size
        assert packed(out)[0] == CLASSES and packed(out)[1]["precision"] == precision
    assert sizes["int8"] < sizes["float32"] and sizes["float16"] < sizes["float32"]


def test_onnx_runs_in_onnxruntime_on_any_batch_and_carries_its_labels(run, model, pixels, tmp_path):
    import onnxruntime

    out = exported(run, tmp_path / "m.onnx", "--format", "onnx")
    session = onnxruntime.InferenceSession(str(out), providers=["CPUExecutionProvider"])
    [scores] = session.run(["scores"], {"image": pixels.astype(np.float32)})
    np.testing.assert_allclose(scores, model.predict(pixels), atol=1e-5)
    properties = session.get_modelmeta().custom_metadata_map
    assert properties["labels"].split() == CLASSES and json.loads(properties["metadata"])["image_size"] == 16


def test_a_saved_model_takes_photos_as_cameras_leave_them_and_names_classes(served, model):
    files = []
    for orientation, size in ((1, (40, 24)), (6, (30, 50)), (8, (16, 16))):
        file, exif = io.BytesIO(), Image.Exif()
        exif[0x0112] = orientation
        noise = np.random.default_rng(orientation).integers(0, 256, (*size[::-1], 3)).astype(np.uint8)
        Image.fromarray(noise).save(file, "JPEG", exif=exif)
        files.append(file.getvalue())
    loaded = tf.saved_model.load(str(served))
    answer = loaded.signatures["serving_default"](image_bytes=tf.constant(files))
    spec = InputSpec(image_size=16, channels=3, fit="stretch")
    images = np.stack([decode_file(file, spec).numpy() for file in files])
    expected = model.predict(images)
    np.testing.assert_allclose(answer["scores"].numpy(), expected, atol=1e-6)
    assert [name.decode() for name in answer["label"].numpy()] == [CLASSES[best] for best in expected.argmax(axis=1)]
    assert [[name.decode() for name in row] for row in answer["labels"].numpy()] == [CLASSES] * 3
    of_pixels = loaded.signatures["pixels"](image=tf.constant(images))
    np.testing.assert_allclose(of_pixels["scores"].numpy(), expected, atol=1e-6)
    assert (served / "assets.extra" / "labels.txt").read_text().split() == CLASSES


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "argv"),
    [("m", ["saved_model"]), ("m.onnx", ["onnx"]), ("m.tflite", ["tflite"]), ("h.tflite", ["tflite", "float16"])],
)
def test_mobilenet_on_a_data_set_of_scaled_images_gives_the_same_classes_in_every_format(
    mobilenet, tmp_path, capsys, name, argv
):
    exported(mobilenet, tmp_path / name, "--format", argv[0], "--precision", *argv[1:] or ["float32"])
    said = capsys.readouterr().out
    assert "the same class for 100.00% of" in said or "100.00% of the" in said


@pytest.fixture(scope="module")
def mobilenet(data, tmp_path_factory):
    """A run of MobileNetV2 whose data set's records have another size than the model."""
    folder = tmp_path_factory.mktemp("mobilenet")
    source, out = str(data.parent / "source"), str(folder / "data")
    form = ["--encoding", "jpeg", "--resize", "exact=24x20"]
    assert build_tfrecords.main([source, "--out", out, "--quiet", *form]) == 0
    options = ["--model", "MobileNetV2", "--weights", "none", "--width", "0.35", "--image-size", "32"]
    options += ["--batch-size", "16", "--epochs", "3"]
    assert train.main(["--data", out, "--run", str(folder / "run"), *options]) == 0
    return folder / "run"


def test_predict_knows_the_labels_and_the_images_of_what_was_exported(run, data, served, tmp_path, capsys):
    alone, said = exported(run, tmp_path / "m.keras", "--format", "keras"), []
    for model in (run, alone, served):
        capsys.readouterr()
        assert predict.main([str(model), str(data.parent / "source" / "owl" / "1*.jpg"), "--format", "csv"]) == 0
        said.append([line.split(",") for line in capsys.readouterr().out.splitlines()])
    assert said[0] == said[1] and said[0][0][:3] == ["image", "class_1", "score_1"] and said[0][1][1] == "owl"
    assert [row[:2] for row in said[0]] == [row[:2] for row in said[2]]
    scores = [np.array([row[2] for row in rows[1:]], float) for rows in (said[0], said[2])]
    np.testing.assert_allclose(*scores, atol=1e-6)


def test_of_a_model_of_ones_own_it_is_said_that_keras_needs_its_classes(data, tmp_path, capsys):
    (tmp_path / "nets.py").write_text(OWN)
    run, out = str(tmp_path / "run"), tmp_path / "m.keras"
    argv = ["--data", str(data), "--run", run, "--model", f"{tmp_path}/nets.py:build", "--epochs", "1"]
    assert train.main([*argv, "--image-size", "16", "--evaluate-on", "none"]) == 0
    exported(run, out, "--format", "keras")
    said = capsys.readouterr().out.splitlines()[-1]
    assert said.startswith("Keras needs the classes of nets.py") and f"predict.py takes {run}" in said
    photo = str(data.parent / "source" / "owl" / "1.jpg")
    assert predict.main([str(out), photo]) == 2
    error = capsys.readouterr().err
    assert "'Twice'" in error and "Keras needs the classes of 'nets.py'" in error and error.count("\n") == 1
    assert predict.main([run, photo]) == 0


def test_an_export_that_differs_fails_and_is_not_kept(run, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(exporting, "run_keras", lambda _, images, __: np.eye(3)[np.zeros(len(images), int)])
    assert export.main([str(run), "--format", "keras", "--out", str(tmp_path / "m.keras")]) == 2
    error = capsys.readouterr().err
    assert "agreement" in error and error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("argv", "named"),
    [
        (["--format", "onnx", "--precision", "int8", "--out", "m.onnx"], "tflite"),
        (["--format", "onnx", "--calibration", "256", "--out", "m.onnx"], "only with --precision int8"),
        (["--format", "tflite", "--out", "m.onnx"], ".tflite"),
        (["--format", "keras", "--out", "there.keras"], "--out"),
        (["--format", "keras", "--out", "nowhere/m.keras"], "--out"),
        (["--format", "keras", "--out", "m.keras", "--split", "holdout"], "holdout"),
        (["--format", "keras", "--out", "m.keras", "--data", "nowhere"], "nowhere"),
        (["--format", "keras", "--out", "m.keras", "--data", "others"], "'cat'. Received: instead='bear'"),
        (["--format", "keras", "--out", "m.keras", "--data", "empty"], "Expected examples in split 'test'"),
        (["--format", "kears", "--out", "m.keras"], "keras"),
        (["--out", "m.keras"], "--format"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(data, run, others, tmp_path, monkeypatch, capsys, argv, named):
    empty = tmp_path.with_name(f"{tmp_path.name}_empty")
    empty.mkdir()
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there.keras").write_bytes(b"before")
    manifest = json.loads((data / "manifest.json").read_text())
    manifest["splits"]["test"] |= {"examples": 0, "examples_per_class": [0, 0, 0], "shards": []}
    (empty / "manifest.json").write_text(json.dumps(manifest))
    argv = [{"others": others, "empty": str(empty)}.get(argument, argument) for argument in argv]
    assert export.main([str(run), *argv]) == 2
    error = capsys.readouterr().err
    assert named in error and error.count("\n") == 1 and "Traceback" not in error, error
    assert [(entry.name, entry.read_bytes()) for entry in tmp_path.iterdir()] == [("there.keras", b"before")]


@pytest.fixture(scope="module")
def others(data, tmp_path_factory):
    """A data set of as many classes, one of another name."""
    folder = tmp_path_factory.mktemp("others")
    for name in ("bear", "cat", "dog"):
        (folder / "in" / name).mkdir(parents=True)
        for number in range(12):
            pixels = np.random.default_rng(number).integers(0, 256, (8, 8, 3)).astype(np.uint8)
            (folder / "in" / name / f"{number}.png").write_bytes(tf.io.encode_png(pixels).numpy())
    assert build_tfrecords.main([str(folder / "in"), "--out", str(folder / "data"), "--quiet"]) == 0
    return str(folder / "data")


def test_runs_without_a_model_or_with_another_are_refused(run, tmp_path, capsys):
    def refused():
        assert export.main([str(copy), "--format", "keras", "--out", str(tmp_path / "m.keras")]) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1 and [path.name for path in tmp_path.iterdir()] == ["copy"]
        return error

    copy = tmp_path / "copy"
    copy.mkdir()
    assert "Expected a run's folder" in refused()
    (copy / "config.yaml").write_text((run / "config.yaml").read_text())
    assert "Expected a finished run, with model.keras" in refused()
    (copy / "model.keras").write_bytes(b"no model")
    assert "Expected the run's classes" in refused()
    (copy / "environment.json").write_text((run / "environment.json").read_text())
    assert "that Keras can load" in refused()
    image = keras.Input((16, 16, 3))
    for outputs in (keras.layers.Conv2D(3, 1)(image), keras.layers.Dense(4)(keras.layers.Flatten()(image))):
        keras.Model(image, outputs).save(copy / "model.keras")
        assert "to give scores of the 3 classes, [B, 3]" in refused()
