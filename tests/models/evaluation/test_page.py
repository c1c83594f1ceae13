import numpy as np
import pytest
from PIL import Image

from models.evaluation.bootstrap import resample
from models.evaluation.majority import against_majority
from models.evaluation.page import confusions, evaluation_page
from models.evaluation.paired import differences, mcnemar
from models.evaluation.pictures import rank_curves, reliability_picture, thumbnail, write_mistakes
from models.evaluation.report import full_report

NASTY = "<script>alert('1')</script> \"$x^$ & _"


def report_of(classes, examples=60):
    rng, count = np.random.default_rng(0), len(classes)
    label = rng.integers(0, count, examples)
    scores = rng.dirichlet(np.ones(count), examples).astype(np.float32)
    judged = scores, label, rng.random(examples)
    samples = resample(*judged, probable=True, resamples=20, seed=0)
    report = full_report(*judged, classes, samples, probable=True, level=0.95)
    overall, right = report["metrics"], scores.argmax(axis=1) == label
    report |= {
        "run": {"name": NASTY, "path": NASTY},
        "data": {"path": NASTY, "fingerprint": "f"},
        "split": NASTY,
        "classes": classes,
        "bootstrap": {"resamples": 20, "level": 0.95, "seed": 0},
        "tta": {"of": "flip", "views": 2, "metrics": {"accuracy": 0.123456}},
        "robustness": None,
        "against": [
            {
                "run": {"name": NASTY, "path": NASTY},
                "metrics": overall,
                "mcnemar": mcnemar(right, right),
                "differences": differences(overall, overall, samples[0], samples[0], 0.95),
            }
        ],
        "grad_cam": NASTY,
        "warnings": [NASTY],
        "majority": against_majority(overall, samples[0], label, classes, probable=True, level=0.95, seed=0),
    }
    return report, scores, label


MISTAKE = {"id": NASTY, "label": NASTY, "prediction": NASTY, "score": 0.9}


@pytest.mark.parametrize("many", [False, True])
def test_names_are_escaped_wherever_they_stand(many):
    classes = [f"{NASTY}{i}" for i in range(30 if many else 3)]
    report, scores, label = report_of(classes)
    image = thumbnail(np.zeros((4, 4, 1), np.uint8))
    curves = rank_curves(scores, label, classes)
    assert bool(curves) != many  # thirty curves tell nothing
    curves["Reliability"] = reliability_picture(report["calibration"]["bins"])
    page = evaluation_page(report, curves, [{**MISTAKE, "picture": image, "heat": image}])
    assert "<script" not in page and page.count("&lt;script&gt;") > 12
    assert page.count("data:image/svg+xml") == len(curves) and page.count(image) == 2
    assert "http" not in page.replace("http-equiv", "")
    assert "0.1235" in page and ("taken for what" in page) == many


def test_the_most_frequent_confusions_come_first():
    assert confusions([[5, 1, 0], [3, 0, 0], [0, 2, 9]], "abc") == [("b", "a", 3), ("c", "b", 2), ("a", "b", 1)]


def test_a_small_image_is_enlarged_pixel_by_pixel_and_heat_changes_its_colours():
    import base64
    import io

    def pixels(uri):
        return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))))

    image = np.array([[[0], [255]], [[255], [0]]], np.uint8)
    seen = pixels(thumbnail(image))
    assert seen.shape == (112, 112, 3)
    np.testing.assert_array_equal(seen[::56, ::56], np.repeat(image, 3, axis=-1))
    hot = pixels(thumbnail(image, np.array([[1.0, 0], [0, 0]])))
    assert hot[0, 0, 0] > hot[0, 0, 2] and hot[-1, -1, 2] > hot[-1, -1, 0]
    assert pixels(thumbnail(np.zeros((300, 200, 3), np.uint8))).shape == (224, 149, 3)


def test_the_picture_of_mistakes_takes_any_name(tmp_path):
    path = tmp_path / "mistakes.png"
    images = np.zeros((7, 8, 8, 3), np.uint8)
    write_mistakes(path, [MISTAKE] * 7, images, NASTY)
    with Image.open(path) as picture:
        assert picture.width >= 6 * 150 and picture.height >= 2 * 200
