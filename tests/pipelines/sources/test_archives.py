import io
import os
import tarfile
import threading
import zipfile

import numpy as np
import pytest

from base.errors import InputError
from pipelines.conversion.plan import plan_splits
from pipelines.sources.open import open_source
from pipelines.sources.options import SourceOptions
from pipelines.sources.source import Unreadable

FILES = {
    "train/cats/1 ü.jpg": b"cat" * 1000,
    "train/cats/deep/2.jpg": b"",
    "train/dogs/it's\n<b>.png": os.urandom(70_000),
    "test/dogs/4.jpg": b"dog",
    "test/cats/5.jpg": b"cat five",
    ".DS_Store": b"litter",
    "__MACOSX/train/cats/._1.jpg": b"litter",
}


def _folder(root):
    for name, content in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return root


def _zip(path, files, method=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def _tar(path, files, mode="w"):
    with tarfile.open(path, mode) as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def _open(path, **options):
    return open_source(SourceOptions(source=str(path), **options))


@pytest.mark.parametrize("above", ["", "My photos/", "./a/b/"])
@pytest.mark.parametrize(
    ("name", "pack"),
    [("in.zip", _zip), ("stored.zip", lambda p, f: _zip(p, f, zipfile.ZIP_STORED)), ("in.tar", _tar), ("tar", _tar)],
)
def test_an_archive_gives_what_its_folder_gives(tmp_path, name, pack, above):
    folder = _open(_folder(tmp_path / "folder"))
    archive = _open(pack(tmp_path / name, {above + file: content for file, content in FILES.items()}))
    places = range(len(folder.ids))
    assert archive.ids == folder.ids and archive.classes == folder.classes
    assert archive.read(places) == folder.read(places) and archive.sizes.tolist() == folder.sizes.tolist()
    assert archive.labels.tolist() == folder.labels.tolist() and archive.problems == folder.problems == ()
    options = SourceOptions(source="x")
    plans = [plan_splits(source, options).splits for source in (folder, archive)]
    assert {k: v.tolist() for k, v in plans[0].items()} == {k: v.tolist() for k, v in plans[1].items()}


def test_many_threads_read_one_archive_at_once(tmp_path):
    random = np.random.default_rng(0)
    files = {f"{'ab'[n % 2]}/{n}": random.bytes(int(random.integers(1, 5000))) for n in range(200)}
    for source in (_open(_zip(tmp_path / "in.zip", files)), _open(_tar(tmp_path / "in.tar", files))):
        wrong = []

        def read(source=source, wrong=wrong):
            for place in np.random.default_rng().permutation(200):
                if source.read([place]) != [files[source.ids[place]]]:
                    wrong.append(place)

        threads = [threading.Thread(target=read) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert wrong == []


def test_a_broken_member_is_unreadable_and_the_others_are_read(tmp_path):
    path = _zip(tmp_path / "in.zip", {"a/1": b"first" * 99, "a/2": b"second", "b/3": b"third"}, zipfile.ZIP_STORED)
    content = path.read_bytes()
    path.write_bytes(content.replace(b"first" * 99, b"firsT" * 99))
    first, *others = _open(path).read([0, 1, 2])
    assert "checksum" in first.reason and others == [b"second", b"third"]
    path = _zip(path, {"a/1": bytes(5000), "b/2": b"second"})
    with zipfile.ZipFile(path) as archive:
        place = archive.infolist()[0].header_offset + 30 + 3
    content = bytearray(path.read_bytes())
    content[place + 2] ^= 0xFF
    path.write_bytes(content)
    assert isinstance(_open(path).read([0])[0], Unreadable) and _open(path).read([1]) == [b"second"]


@pytest.mark.parametrize("name", ["/etc/1.jpg", "a/../../1.jpg", "..", "C:\\a\\1.jpg", "a\\..\\..\\1.jpg"])
def test_members_outside_of_the_archives_folder_are_refused(tmp_path, name):
    for path, pack in ((tmp_path / "in.zip", _zip), (tmp_path / "in.tar", _tar)):
        with pytest.raises(InputError, match="only members inside.*member="):
            _open(pack(path, {"a/1": b"1", "b/2": b"2", name: b"3"}))


def test_links_devices_and_replaced_members_of_an_archive_are_named(tmp_path):
    with tarfile.open(tmp_path / "in.tar", "w") as archive:
        for name, kind in (("a/link", tarfile.SYMTYPE), ("a/hard", tarfile.LNKTYPE), ("b/null", tarfile.CHRTYPE)):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "/etc/passwd"
            archive.addfile(info)
        for name, content in (("a/1", b"old"), ("b/2", b"2"), ("a/1", b"new")):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    source = _open(tmp_path / "in.tar")
    assert source.ids == ["a/1", "b/2"] and source.read([0, 1]) == [b"new", b"2"]
    assert [(problem.id, problem.reason) for problem in source.problems] == [
        ("a/link", "a link in an archive"),
        ("a/hard", "a link in an archive"),
        ("b/null", "no plain file"),
        ("a/1", "another file of this name follows in the archive"),
    ]


def test_archives_that_can_not_be_read_at_random_are_refused_with_the_reason(tmp_path):
    for mode, kind in (("w:gz", "gzip"), ("w:bz2", "bzip2"), ("w:xz", "xz")):
        with pytest.raises(InputError, match=f"uncompressed .tar.*{kind}"):
            _open(_tar(tmp_path / f"in.tar.{kind[:2]}.tgz", FILES, mode))
    path = _zip(tmp_path / "locked.zip", {"a/1": b"1", "b/2": b"2"}, zipfile.ZIP_STORED)
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\1\2") + 8] |= 1  # what a password sets
    path.write_bytes(content)
    with pytest.raises(InputError, match="without a password"):
        _open(path)
    for name, pack in (("cut.zip", _zip), ("cut.tar", _tar)):
        path = pack(tmp_path / name, FILES)
        path.write_bytes(path.read_bytes()[:-30000] if name == "cut.zip" else path.read_bytes()[:30000])
        with pytest.raises(InputError, match=f"whole .{name[-3:]} archive"):
            _open(path)


def test_a_flat_archive_takes_a_label_pattern(tmp_path):
    path = _zip(tmp_path / "in.zip", {"all/cat.1.jpg": b"c", "all/dog.2.jpg": b"d"})
    source = _open(path, label_pattern="cat|dog")
    assert source.ids == ["cat.1.jpg", "dog.2.jpg"] and source.classes == ("cat", "dog")


def test_a_single_folder_that_is_a_split_stays_one(tmp_path):
    source = _open(_zip(tmp_path / "in.zip", {"top/train/a/1": b"1", "top/train/b/2": b"2"}))
    assert source.ids == ["train/a/1", "train/b/2"] and list(source.splits) == ["train"]
