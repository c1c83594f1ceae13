import io
import sys
import tarfile

import pytest

from base.errors import InputError
from pipelines.images.file_options import ImageFileOptions
from pipelines.images.files import ImageFiles, first_of
from pipelines.sources.source import Unreadable


def listed(*paths, **options):
    files = ImageFiles(ImageFileOptions(paths=tuple(map(str, paths)), **options))
    return {file.name: file.read() for file in files}, files


def reason(content):
    assert isinstance(content, Unreadable)
    return content.reason


def test_a_file_is_taken_whatever_its_name_and_in_folders_images_are_known_by_theirs(images, tmp_path):
    folder = tmp_path / "photos"
    (folder / "deep" / "er").mkdir(parents=True)
    (folder / ".hidden").mkdir()
    png = images.png()
    for name in ("a.JPG", "deep/er/b.png", "notes.txt", ".hidden/c.png", "upload"):
        (folder / name).write_bytes(png)
    found, files = listed(folder, folder / "upload")
    assert found == {f"{folder}/{name}": png for name in ("a.JPG", "deep/er/b.png", "upload")}
    assert files.aside == 2


def test_a_name_with_the_letters_of_a_glob_is_that_file_and_a_glob_is_sorted(images, tmp_path):
    for name in ("b1.png", "a1.png", "[a]1.png"):
        (tmp_path / name).write_bytes(name.encode())
    assert list(listed(tmp_path / "[a]1.png")[0].values()) == [b"[a]1.png"]
    assert list(listed(tmp_path / "[ab]1.png")[0].values()) == [b"a1.png", b"b1.png"]


def test_rows_of_a_table_come_in_its_order_repeated_ones_too_and_bad_ones_say_why(images, tmp_path):
    (tmp_path / "7.png").write_bytes(b"7")
    table = tmp_path / "test.tsv"
    table.write_text("id\tage\n7\t1\n8\t2\n \t3\n7\n7\t4\n", encoding="utf-8-sig")
    files = list(ImageFiles(ImageFileOptions(paths=(str(table),), image_column="id", image_suffix=".png")))
    assert [file.name for file in files] == ["7", "8", f"{table} line 4", f"{table} line 5", "7"]
    contents = [file.read() for file in files]
    assert contents[0] == contents[4] == b"7"
    assert reason(contents[1]) == "No such file or directory"
    assert reason(contents[2]) == "no image" and "cells" in reason(contents[3])


def test_a_tables_images_may_lie_in_an_archive(tmp_path):
    with tarfile.open(tmp_path / "images.tar", "w") as archive:
        archive.addfile(_member("in/7.png", b"7"), io.BytesIO(b"7"))
    (tmp_path / "test.csv").write_text("image\n7\n8\n")
    options = {"images": str(tmp_path / "images.tar"), "image_suffix": ".png"}
    (tmp_path / "deep.csv").write_text("image\nin/7\n")
    assert listed(tmp_path / "deep.csv", **options)[0] == {"in/7": b"7"}
    assert reason(listed(tmp_path / "test.csv", **options)[0]["8"]) == "no such file in the archive"


def test_what_breaks_on_the_way_gets_a_row_and_does_not_stop_the_rest(images, tmp_path, monkeypatch):
    good = tmp_path / "good.png"
    good.write_bytes(images.png())
    (tmp_path / "broken.zip").write_bytes(b"PK\3\4 and no more")
    with tarfile.open(tmp_path / "cut.tar.gz", "w:gz") as archive:
        for place in range(3):
            noise = images.pixels(50, 50).tobytes()
            archive.addfile(_member(f"{place}.jpg", noise), io.BytesIO(noise))
    whole = (tmp_path / "cut.tar.gz").read_bytes()
    (tmp_path / "cut.tar.gz").write_bytes(whole[: len(whole) // 2])
    table = tmp_path / "table.csv"
    table.write_bytes(b"image\ngood.png\n\xff\xfe\n")
    (tmp_path / "other.csv").write_text("file\ngood.png\n")
    lines = ["broken.zip", "cut.tar.gz", "nowhere.jpg", "table.csv", "other.csv", "", "good.png"]
    said = "".join(f"{tmp_path / line}\n" if line else "\n" for line in lines)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(said.encode())))
    found, _ = listed("-")
    assert found[str(good)] == good.read_bytes()
    reasons = {name.removeprefix(f"{tmp_path}/"): reason(c) for name, c in found.items() if not isinstance(c, bytes)}
    assert "whole .zip" in reasons["broken.zip"] and "no whole .tar" in reasons["cut.tar.gz"]
    assert reasons["nowhere.jpg"] == "No such file or directory"
    assert "UTF-8" in reasons["table.csv"] and "--image-column" in reasons["other.csv"]
    assert isinstance(found[f"{tmp_path}/cut.tar.gz/0.jpg"], bytes)


def test_files_are_listed_only_as_far_as_they_are_asked_for(tmp_path):
    for place in range(3):
        (tmp_path / f"{place}.jpg").write_bytes(b"")
    again = first_of(ImageFiles(ImageFileOptions(paths=(str(tmp_path), str(tmp_path / "1.jpg")))))
    (tmp_path / "1.jpg").unlink()
    assert [file.name[-5:] for file in again] == ["0.jpg", "1.jpg", "2.jpg", "1.jpg"]


def test_no_image_at_all_is_an_error_that_counts_what_was_passed_over(tmp_path):
    (tmp_path / "readme.md").write_text("none")
    with pytest.raises(InputError, match="files_passed_over=1"):
        first_of(ImageFiles(ImageFileOptions(paths=(str(tmp_path),))))


def _member(name, content):
    member = tarfile.TarInfo(name)
    member.size = len(content)
    return member
