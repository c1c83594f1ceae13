import csv
import json
import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.stats import binomtest
from sklearn import metrics as sk

from base.options import parse
from pipelines.augment.augmentation import pixels
from pipelines.augment.draws import draws_of
from scripts import build_tfrecords, evaluate, train
from scripts.judging.evaluate_options import EvaluateOptions
from scripts.judging.views import DEGREES, SHARES
from scripts.training import options as train_options
from tests.scripts.conftest import OWN, SMALL

CLASSES = ["<i>left's", 'right & "more"']
SIDE = 20  # shifts are whole pixels


@pytest.fixture(scope="module")
def sides(tmp_path_factory):
    """Photos that are brighter on the left or on the right; every ninth one stands in the other class's folder."""
    folder, rng = tmp_path_factory.mktemp("sides"), np.random.default_rng(0)
    for place, name in enumerate(CLASSES):
        (folder / "source" / name).mkdir(parents=True)
        for i in range(60):
            image = rng.integers(0, 120, (22 + i % 3, 24, 3))
            half = (place + (i % 9 == 0)) % 2
            image[:, 12 * half : 12 * (half + 1)] += 60 + i
            jpeg = tf.io.encode_jpeg(image.astype(np.uint8)).numpy()
            (folder / "source" / name / f"{i}.jpg").write_bytes(jpeg)
    split = ["--split", "train=0.5,validation=0.1,test=0.4"]
    assert build_tfrecords.main([str(folder / "source"), "--out", str(folder / "data"), *split]) == 0
    return folder / "data"


@pytest.fixture(scope="module")
def run(sides, tmp_path_factory):
    run = tmp_path_factory.mktemp("runs") / "run"
    argv = ["--data", str(sides), "--run", str(run), "--head", "sigmoid", "--augment", "shift,rotation,cutmix"]
    argv += ["--evaluate-on", "none", "--epochs", "12", "--learning-rate", "0.02", *SMALL, "--image-size", str(SIDE)]
    assert train.main(argv) == 0
    return run


@pytest.fixture(scope="module")
def other(sides, tmp_path_factory):
    """A run of a model of the user's own, on smaller images."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "own.py").write_text(OWN)
    argv = ["--data", str(sides), "--run", str(folder / "other"), "--model", f"{folder}/own.py:build", "--epochs", "2"]
    assert train.main([*argv, "--evaluate-on", "none", *SMALL, "--image-size", "12"]) == 0
    return folder / "other"


@pytest.fixture(scope="module")
def examples(sides):
    """Images of the test split at the run's size, decoded without Millrace; labels and ids."""
    images, labels, ids = [], [], []
    for shard in sorted(sides.glob("*test.tfrecord*")):
        for record in tf.data.TFRecordDataset(str(shard)).as_numpy_iterator():
            feature = tf.train.Example.FromString(record).features.feature
            image = tf.io.decode_image(feature["image"].bytes_list.value[0], channels=3)
            images.append(np.round(tf.image.resize(image, (SIDE, SIDE), antialias=True).numpy()))
            labels.append(feature["label"].int64_list.value[0])
            ids.append(feature["id"].bytes_list.value[0].decode())
    return np.stack(images), np.array(labels), ids


def evaluated(run, out, *argv):
    assert evaluate.main([str(run), "--out", str(out), *argv]) == 0
    return json.loads((out / "evaluation-test.json").read_text())


@pytest.fixture(scope="module")
def full(run, other, tmp_path_factory):
    """The report of an evaluation with all that there is, in its folder."""
    out = tmp_path_factory.mktemp("full")
    argv = ["--predictions", str(out / "p.csv"), "--level", "0.9", "--worst", "3", "--tta", "flips", "--robustness"]
    return evaluated(run, out, *argv, "--against", str(other)), out


@pytest.fixture(scope="module")
def scores_of(run):
    """From images to the scores that Keras says the run's model gives."""
    model = keras.models.load_model(run / "model.keras")

    def scores(images):
        p = model.predict(np.asarray(images), verbose=0)
        return np.concatenate([1 - p, p], axis=1)

    return scores


def test_the_report_has_what_scikit_learn_says_of_the_models_own_predictions(full, scores_of, examples):
    (report, out), (images, label, ids) = full, examples
    scores = scores_of(images)
    predicted = scores.argmax(axis=1)
    assert report["examples"] == len(label) == 48 and report["classes"] == CLASSES
    seen = report["metrics"]
    assert seen["accuracy"] == sk.accuracy_score(label, predicted) and 0.7 < seen["accuracy"] < 1
    assert seen["macro_roc_auc"] == pytest.approx(sk.roc_auc_score(label, scores[:, 1]), abs=1e-3)
    assert seen["log_loss"] == pytest.approx(sk.log_loss(label, scores), rel=1e-4)
    assert seen["loss"] == pytest.approx(seen["log_loss"], rel=1e-4)
    assert report["confusion_matrix"] == sk.confusion_matrix(label, predicted).tolist()
    assert report["per_class"][CLASSES[1]]["recall"] == pytest.approx(sk.recall_score(label, predicted))
    low, high = report["intervals"]["accuracy"]
    assert low < seen["accuracy"] < high
    known = report["majority"]["metrics"]["accuracy"]
    assert known["value"] == 0.5 and known["beaten"] and known["difference"] == seen["accuracy"] - 0.5
    with (out / "p.csv").open(newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["id", "label", "prediction", *(f"score:{name}" for name in CLASSES)]
    assert [row[0] for row in rows] == ids
    assert [row[1:3] for row in rows] == [[CLASSES[a], CLASSES[b]] for a, b in zip(label, predicted, strict=True)]
    np.testing.assert_allclose(np.array([row[3:] for row in rows], float), scores, atol=1e-5)


def test_the_page_shows_the_worst_mistakes_with_their_ids_and_grad_cam_and_escapes_names(full, scores_of, examples):
    (report, out), (images, label, ids) = full, examples
    own = scores_of(images)[np.arange(48), label]
    worst = np.argsort(own)[:3]
    assert (own[worst] < 0.5).all() and [row["id"] for row in report["worst_mistakes"]] == [ids[i] for i in worst]
    assert report["grad_cam"] == "block_2_conv_relu"
    page = (out / "evaluation-test.html").read_text()
    assert "&lt;i&gt;left&#39;s" in page and "<i>left" not in page and 'right & "more"' not in page
    assert page.count('<img src="data:image/png') == 6 and ids[worst[0]].split("/")[-1] in page
    assert (out / "evaluation-test-mistakes.png").read_bytes().startswith(b"\x89PNG")


def test_flipped_views_are_averaged(full, scores_of, examples):
    (report, _), (images, label, _) = full, examples
    turned = [images, images[:, :, ::-1], images[:, ::-1], images[:, ::-1, ::-1]]
    scores = np.mean([scores_of(view) for view in turned], axis=0)
    assert report["tta"]["views"] == 4 and "loss" not in report["tta"]["metrics"]
    assert report["tta"]["metrics"]["log_loss"] == pytest.approx(sk.log_loss(label, scores), rel=1e-4)
    assert report["tta"]["metrics"]["log_loss"] > report["metrics"]["log_loss"]  # it is sides that count


@pytest.mark.slow
def test_views_are_drawn_from_the_runs_own_augmentation_without_its_mixing(run, scores_of, examples, tmp_path, capsys):
    images, label, _ = examples
    (tmp_path / "evaluation-test.html").write_text("of another time")
    report = evaluated(run, tmp_path, "--tta", "2", "--no-grad-cam", "--overwrite")
    config = parse("", "", train_options.GROUPS, ["--config", str(run / "config.yaml")])
    policy, index = config["augmentation"].policy(), tf.range(48)
    views = [
        pixels(policy, tf.constant(images, tf.float32), draws_of(0, tf.fill([48], draw), index), (SIDE, SIDE))
        for draw in range(2)
    ]
    scores = np.mean([scores_of(view) for view in (images, *views)], axis=0)
    assert report["tta"]["metrics"]["log_loss"] == pytest.approx(sk.log_loss(label, scores), rel=1e-3)
    assert report["grad_cam"] is None and "of another time" not in (tmp_path / "evaluation-test.html").read_text()
    said = capsys.readouterr().out
    assert (
        "run on test: 48 examples\n" in said and f"\n  accuracy{' ' * 33}{report['metrics']['accuracy']:.4f}  " in said
    )
    assert "95 % " in said and "  0.5000, beaten\n" in said and "accuracy, mean of 3 views" in said


def test_what_is_wrong_with_the_splits_is_said_of_whatever_is_judged_by_them(run, sides, tmp_path, capsys):
    warning = "9 of the 20 values of column '<b>' have images in more than one split"
    shutil.copytree(sides, tmp_path / "data")
    manifest = json.loads((sides / "manifest.json").read_text())
    (tmp_path / "data" / "manifest.json").write_text(json.dumps({**manifest, "warnings": [warning]}))
    report = evaluated(run, tmp_path, "--data", str(tmp_path / "data"), "--no-grad-cam", "--resamples", "2")
    assert report["warnings"] == [warning] and capsys.readouterr().out.startswith(f"warning: {warning}\n")
    assert warning.replace("'<b>'", "&#39;&lt;b&gt;&#39;") in (tmp_path / "evaluation-test.html").read_text()


def test_robustness_is_the_accuracy_of_images_turned_and_shifted_in_turns(full, scores_of, examples):
    (report, _), (images, label, _) = full, examples

    def accuracy(moved):
        return (scores_of(moved).argmax(axis=1) == label).mean()

    rotation = {row["degrees"]: row["accuracy"] for row in report["robustness"]["rotation"]}
    shift = {row["share"]: row["accuracy"] for row in report["robustness"]["shift"]}
    assert set(rotation) == {0, *DEGREES} and set(shift) == {0, *SHARES}
    assert rotation[0] == shift[0] == report["metrics"]["accuracy"]
    assert rotation[180] == pytest.approx(accuracy(images[:, ::-1, ::-1]), abs=0.03)
    assert rotation[180] < 0.3 < rotation[5]
    quarter = [np.rot90(image, -1 if place % 2 == 0 else 1) for place, image in enumerate(images)]
    assert rotation[90] == pytest.approx(accuracy(quarter), abs=0.03)
    for share in (0.1, 0.3):
        by = round(share * SIDE)
        edges = np.pad(images, ((0, 0), (by, by), (by, by), (0, 0)), mode="edge")
        starts = [(by, 0), (by, 2 * by), (0, by), (2 * by, by)]  # right, left, down, up
        moved = [edges[i, y : y + SIDE, x : x + SIDE] for i in range(48) for y, x in [starts[i % 4]]]
        assert shift[share] == pytest.approx(accuracy(moved), abs=1e-9)


def test_a_run_is_compared_with_another_of_a_model_of_ones_own_on_the_same_examples(full, other, tmp_path):
    report, out = full
    evaluated(other, tmp_path, "--predictions", str(tmp_path / "p.csv"), "--no-grad-cam")

    def right(folder):
        with (folder / "p.csv").open(newline="") as file:
            return np.array([row["label"] == row["prediction"] for row in csv.DictReader(file)])

    one, two = right(out), right(tmp_path)
    only, their = int((one & ~two).sum()), int((two & ~one).sum())
    (against,) = report["against"]
    p = binomtest(only, only + their).pvalue
    assert against["mcnemar"] == {"only_this": only, "only_other": their, "p": pytest.approx(p)}
    row = against["differences"]["accuracy"]
    assert row["difference"] == pytest.approx((only - their) / 48)
    assert row["interval"][0] < row["difference"] < row["interval"][1]
    assert f"{only} examples are right here alone" in (out / "evaluation-test.html").read_text()


def refused(capsys, *argv):
    capsys.readouterr()
    assert evaluate.main([str(part) for part in argv]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and error.startswith("error: Expected")
    return error


def test_what_is_there_is_not_overwritten_unless_it_is_said(run, tmp_path, capsys):
    for name in ("evaluation-test.json", "evaluation-test.html", "p.csv"):
        path = tmp_path / name
        path.write_text("mine")
        error = refused(capsys, run, "--out", tmp_path, "--predictions", tmp_path / "p.csv")
        assert name in error and path.read_text() == "mine"
        assert [entry.name for entry in tmp_path.iterdir()] == [name]
        path.unlink()


def test_splits_that_are_missing_or_empty_are_refused(run, sides, tmp_path, capsys):
    assert "['test', 'train', 'validation']" in refused(capsys, run, "--split", "tset")
    manifest = json.loads((sides / "manifest.json").read_text())
    manifest["splits"]["test"] |= {"examples": 0, "examples_per_class": [0, 0], "shards": []}
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    assert "Expected examples in split 'test'" in refused(capsys, run, "--data", tmp_path)


@pytest.mark.parametrize(
    ("classes", "said"),
    [
        (["a", "b", "c"], "classes=3"),
        ([CLASSES[0], "b"], "instead='b'"),
        (CLASSES[::-1], "in their order, class 0"),
    ],
    ids=["number", "names", "order"],
)
def test_other_classes_than_the_runs_are_refused(run, sides, tmp_path, capsys, classes, said):
    manifest = json.loads((sides / "manifest.json").read_text())
    (tmp_path / "manifest.json").write_text(json.dumps({**manifest, "classes": classes}))
    assert said in refused(capsys, run, "--data", tmp_path)


def test_runs_without_a_model_or_with_another_are_refused(run, tmp_path, capsys):
    assert "a run's folder" in refused(capsys, tmp_path)
    copy = tmp_path / "copy"
    shutil.copytree(run, copy)
    (copy / "model.keras").unlink()
    assert "Expected a finished run" in refused(capsys, copy)
    (copy / "model.keras").write_bytes(b"no model")
    assert "that Keras can load" in refused(capsys, copy)
    image = keras.Input((SIDE, SIDE, 3))
    for outputs in (keras.layers.Dense(2)(keras.layers.Flatten()(image)), keras.layers.Conv2D(1, 1)(image)):
        keras.Model(image, outputs).save(copy / "model.keras")
        assert "to give one sigmoid unit, [B, 1]" in refused(capsys, copy)
    keras.Sequential([keras.Input((4, 4, 3)), keras.layers.Flatten(), keras.layers.Dense(1)]).save(copy / "model.keras")
    assert "to take images [None, 20, 20, 3]" in refused(capsys, copy)
    assert not list(copy.glob("evaluation-*"))


def test_a_model_whose_scores_are_no_numbers_is_refused(run, tmp_path, capsys):
    copy = tmp_path / "copy"
    shutil.copytree(run, copy)
    model = keras.models.load_model(run / "model.keras")
    model.set_weights([np.full_like(weight, np.nan) for weight in model.get_weights()])
    model.save(copy / "model.keras")
    assert "examples_without=48, of=48" in refused(capsys, copy)
    image = keras.Input((SIDE, SIDE, 3))
    keras.Model(image, keras.layers.Dense(1)(keras.layers.Flatten()(image))).save(copy / "model.keras")
    assert "Expected probabilities" in refused(capsys, copy)


def test_draws_of_a_run_without_augmentation_are_refused(other, capsys):
    assert "was trained without augmentation" in refused(capsys, other, "--tta", "4")
    assert "Expected --tta flip, flips or a number" in refused(capsys, other, "--tta", "rotate")


def test_the_options_are_these():
    assert set(EvaluateOptions.__dataclass_fields__) == {
        *("run", "data", "split", "against", "tta", "robustness", "grad_cam", "worst", "predictions"),
        *("out", "overwrite", "resamples", "level", "seed", "batch_size"),
    }
