import io
import json
import random
from html import escape

import numpy as np
import pytest
from PIL import Image

from pipelines.health.facts import class_weights
from pipelines.health.report import report_health
from pipelines.sources.source import Problem, Unreadable


def _found(data, folder, problems=(), **options):
    """The findings by kind."""
    health = report_health(folder, data.source(), data.observations(), problems, **options)
    return {finding.kind: finding for finding in health.findings}


def _sets(finding):
    return [(cluster.how, cluster.members) for cluster in finding.clusters]


def test_an_image_in_two_splits_is_found_by_bytes_by_pixels_and_nearly_with_the_surest_first(data, tmp_path):
    for seed in range(4):
        data.add(data.encoded(data.scene(seed)), "train", id=f"train/{seed}.jpg")
    lossless = Image.open(io.BytesIO(data.images[1][0]))
    data.add(data.encoded(data.scene(2).resize((70, 50)), quality=60), "test")
    data.add(data.encoded(lossless, "PNG"), "test")
    data.add(data.encoded(data.scene(0)), "test")
    data.add(data.encoded(data.scene(9)), "test", label=1)
    leak = _found(data, tmp_path)["leak"]
    assert _sets(leak) == [("bytes", (0, 6)), ("pixels", (1, 5)), ("near", (2, 4))]
    assert leak.images == 6
    assert leak.level == "serious"
    assert "6 images: 2 the same bytes, 2 the same pixels, 2 nearly the same; 3 of train, 3 of test" in leak.text


def test_an_image_in_two_classes_is_a_conflict_and_comes_before_everything_but_leaks(data, tmp_path):
    data.add(data.encoded(data.scene(0)), label=0)
    data.add(data.encoded(data.scene(0)), label=1)
    data.add(data.encoded(data.scene(1)), label=0)
    data.add(data.encoded(data.scene(1)), "test", label=0)
    health = report_health(tmp_path, data.source(), data.observations(), [Problem("x", "y")])
    assert [finding.kind for finding in health.findings][:3] == ["leak", "conflict", "problem"]
    assert _sets(health.findings[1]) == [("bytes", (0, 1))]


def test_a_set_counts_an_image_once_by_its_surest_twin(data, tmp_path):
    data.add(data.encoded(data.scene(0)), "train")
    data.add(data.encoded(data.scene(0), quality=50), "train")
    data.add(data.encoded(data.scene(0)), "test")
    leak = _found(data, tmp_path)["leak"]
    assert _sets(leak) == [("bytes", (0, 2)), ("near", (0, 1, 2))]
    assert "3 images: 2 the same bytes, 1 nearly the same" in leak.text


def test_copies_within_a_class_and_split_are_no_leak_and_a_copy_stored_turned_is_one(data, tmp_path):
    turned = Image.Exif()
    turned[0x0112] = 6  # to be shown, turn it clockwise
    upright = data.scene(0)
    data.add(data.encoded(upright, "PNG"))
    data.add(data.encoded(upright.transpose(Image.Transpose.ROTATE_90), "PNG", exif=turned))
    data.add(data.encoded(upright.transpose(Image.Transpose.ROTATE_90), "PNG"))
    found = _found(data, tmp_path)
    assert _sets(found["copy"]) == [("pixels", (0, 1))]
    assert found["orientation"].images == 1
    assert "leak" not in found


def test_blank_pictures_are_no_near_duplicates_but_equal_ones_are_still_found(data, tmp_path):
    for grey, size in ((0, (90, 60)), (255, (90, 60)), (128, (80, 80)), (0, (90, 61))):
        data.add(data.encoded(Image.new("L", size, grey)))
    data.add(data.encoded(Image.new("L", (90, 60), 0), "PNG"), "test")
    found = _found(data, tmp_path)
    assert found["flat"].images == 5
    assert _sets(found["leak"]) == [("pixels", (0, 4))]
    assert not {"near", "copy"} & set(found)


def test_a_group_in_two_splits_is_found_though_its_images_differ(data, tmp_path):
    for seed, (split, group) in enumerate([("train", "a"), ("train", "b"), ("test", "a"), ("test", None)]):
        data.add(data.encoded(data.scene(seed)), split, group=group)
    found = _found(data, tmp_path)["divided_group"]
    assert _sets(found) == [("group a", (0, 2))]
    assert (found.images, found.level) == (2, "serious")


def test_labels_paths_groups_and_reasons_are_text_in_the_page_whatever_they_hold(data, tmp_path):
    nasty = '<script>alert("1")</script>\'&'
    data.classes = (nasty, "dog")
    data.add(data.encoded(data.scene(0)), "train", id=f"{nasty}/0.jpg", group=nasty)
    data.add(data.encoded(data.scene(0)), "test", id=f"{nasty}/1.jpg", group=nasty)
    _found(data, tmp_path, [Problem(f"{nasty}/2.jpg", f"broken {nasty}")])
    page = (tmp_path / "health.html").read_text(encoding="utf-8")
    assert "<script" not in page
    escaped = str(escape(nasty)).replace("&quot;", "&#34;").replace("&#x27;", "&#39;")
    for text in (f"<b>{escaped}</b>", f"{escaped}/0.jpg", f"{escaped}/2.jpg", f"broken {escaped}", f"group {escaped}"):
        assert text in page
    assert json.loads((tmp_path / "health.json").read_text(encoding="utf-8"))["classes"] == [nasty, "dog"]


def test_the_files_are_the_same_bytes_in_whatever_order_the_images_came(data, tmp_path):
    for seed in range(12):
        data.add(data.encoded(data.scene(seed // 2)), ("train", "test")[seed % 3 // 2], label=seed % 2)
    observations = data.observations()
    contents = []
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        report_health(tmp_path / name, data.source(), observations, [])
        contents.append([(tmp_path / name / file).read_bytes() for file in ("health.json", "health.html")])
        random.Random(0).shuffle(observations)
    assert contents[0] == contents[1]


def test_the_page_shows_the_first_of_many_and_the_json_holds_all(data, tmp_path):
    for seed in range(30):
        for _ in range(2 if seed else 20):
            data.add(data.encoded(data.scene(seed, 40, 40)))
    copies = _found(data, tmp_path)["copy"]
    assert copies.images == 20 + 2 * 29
    listed = json.loads((tmp_path / "health.json").read_text())["findings"]
    assert [len(one["images"]) for one in next(f["clusters"] for f in listed if f["kind"] == "copy")] == [20] + [2] * 29
    page = (tmp_path / "health.html").read_text()
    assert "12 more of these in health.json" in page
    assert "20 more such sets in health.json" in page
    assert page.count("<img") < 60


def test_of_many_copies_the_one_at_odds_is_shown(data, tmp_path):
    for _ in range(20):
        data.add(data.encoded(data.scene(0)))
    data.add(data.encoded(data.scene(0)), "test", id="the one at odds.jpg")
    _found(data, tmp_path)
    assert "the one at odds.jpg" in (tmp_path / "health.html").read_text()


def test_found_is_the_sum_of_converted_skipped_and_left_out_and_the_pixels_of_gone_images_are_not_needed(
    data, tmp_path
):
    for _ in range(3):
        data.add(data.encoded(data.scene(0)))
    source, observations = data.source(), data.observations()[:2]
    object.__setattr__(source, "read", lambda places: [Unreadable("gone")] * len(places))
    health = report_health(tmp_path, source, observations, [Problem("a", "b")] * 4, left_out=np.array([2]))
    assert health.to_json()["images"] == {"found": 7, "converted": 2, "skipped": 4, "left_out": 1}
    assert health.to_json()["left_out"] == ["2.jpg"]
    assert "<img" not in (tmp_path / "health.html").read_text()


def test_images_are_read_again_from_one_split_at_a_time(data, tmp_path):
    for split in ("train", "test") * 3:
        data.add(data.encoded(data.scene(0)), split)
    source = data.source(own_splits=True)
    read, asked = source.read, []
    object.__setattr__(source, "read", lambda places: asked.append(list(places)) or read(places))
    report_health(tmp_path, source, data.observations(), [])
    assert sorted(asked) == [[0, 2, 4], [1, 3, 5]]


def test_a_data_set_without_faults_is_said_to_have_none(data, tmp_path):
    for seed in range(4):
        data.add(data.encoded(data.scene(seed)), label=seed % 2)
    health = report_health(tmp_path, data.source(), data.observations(), [])
    assert health.summary() == ["health: nothing found"]
    assert "Nothing found" in (tmp_path / "health.html").read_text()


def test_a_data_set_of_which_nothing_could_be_converted_still_has_its_report(data, tmp_path):
    health = report_health(tmp_path, data.source(), [], [Problem("a.jpg", "the file is empty")])
    assert health.summary() == ["health: 1 warning; see health.html", "  warning  Not converted (1)"]


@pytest.mark.parametrize("counts", [(5, 20, 75), (1, 0, 3)])
def test_class_weights_give_each_class_the_same_part(counts):
    weighted = [weight * count for weight, count in zip(class_weights(counts), counts, strict=True) if count]
    assert weighted == pytest.approx([sum(counts) / len(weighted)] * len(weighted))


def test_sizes_are_those_of_the_image_as_shown(data, tmp_path):
    turned = Image.Exif()
    turned[0x0112] = 8
    data.add(data.encoded(data.scene(0, 100, 50), exif=turned))
    data.add(data.encoded(data.scene(1, 300, 40)))
    data.add(data.encoded(data.scene(2, 10, 12)), label=1)
    health = report_health(tmp_path, data.source(), data.observations(), [])
    sides = {name: (values["least"], values["median"], values["most"]) for name, values in health.facts.sides.items()}
    assert sides == {"width": (10, 50, 300), "height": (12, 40, 100), "aspect": (0.5, 10 / 12, 7.5)}
    assert health.facts.extremes["widest"] == (1, 2, 0)
    assert health.facts.short_sides == {"8 - 15": 1, "16 - 31": 0, "32 - 63": 2}
    assert {finding.kind: finding.images for finding in health.findings if finding.clusters} == {"long": 1}
