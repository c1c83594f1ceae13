"""Images that nobody has labelled, wherever they lie: files, folders, archives, globs, tables, or a list of them.

They are listed while they are used, so that memory does not grow with their number; only the members of an archive are
listed at once. What can't be read stands in the list, too, with the reason. Without TensorFlow.
"""

import dataclasses
import functools
import glob
import lzma
import os
import sys
import tarfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

from base.errors import InputError, input_error, require
from pipelines.images.file_options import ImageFileOptions
from pipelines.images.header import image_kind
from pipelines.sources.archive import compression
from pipelines.sources.archive_kinds import is_archive, list_archive
from pipelines.sources.disk import file_size, read_file, walk_folder
from pipelines.sources.layout import IMAGE_NAME
from pipelines.sources.rows import read_images
from pipelines.sources.source import Unreadable
from pipelines.sources.tree import MAX_BYTES, TOO_LARGE, Tree, as_text, is_litter

STDIN = "-"
_TABLES = (".csv", ".tsv")
_TAR_ERRORS = (OSError, EOFError, tarfile.TarError, zlib.error, lzma.LZMAError)


@dataclasses.dataclass(frozen=True, slots=True)
class ImageFile:
    """An image that has not been read yet."""

    name: str  # as the user knows it: its path, or the cell of the table
    read: Callable[[], bytes | Unreadable]  # the file's content; from any thread


class ImageFiles:
    """Every image that some paths lead to, in the order in which they stand there.

    Args:
        options: The paths.

    Raises:
        InputError: A path or --images where nothing is, a glob that matches nothing, a table without the column, or
            options of tables and no table.
    """

    def __init__(self, options: ImageFileOptions) -> None:
        self.aside = 0  # files that were passed over so far: no images, by their names
        self._options = options
        self._paths = [path for text in options.paths for path in _expanded(text)]
        tables = [path for path in self._paths if path != STDIN and _kind(Path(path)) == "table"]
        for table in tables:
            next(read_images(Path(table), options.of_table(table)), None)
        given = options.of_tables
        require(
            bool(tables) or STDIN in self._paths or not given,
            "Expected options of tables only with a .csv or .tsv table among PATHS",
            **given,
            do="Leave them out.",
        )
        images = options.images
        require(not images or os.path.exists(images), "Expected --images to be a folder or an archive", images=images)

    def __iter__(self) -> Iterator[ImageFile]:
        for path in self._paths:
            if path != STDIN:
                yield from self._of(path)
                continue
            for line in sys.stdin.buffer:
                listed = os.fsdecode(line.rstrip(b"\r\n"))
                if listed.strip():
                    yield from self._of(listed)

    def _of(self, path: str) -> Iterator[ImageFile]:
        """What one path leads to; where that ends in an error, the error as the last of them."""
        of_kind = {
            "folder": self._of_folder,
            "archive": self._of_archive,
            "compressed": self._of_compressed_tar,
            "table": self._of_table,
            "file": lambda file: iter([ImageFile(as_text(str(file)), functools.partial(_read, file))]),
        }
        try:
            yield from of_kind[_kind(Path(path))](Path(path))
        except InputError as error:
            yield _bad(path, str(error))

    def _of_folder(self, folder: Path) -> Iterator[ImageFile]:
        for inner, found in walk_folder(folder):
            if self._is_image(inner):
                path = folder / inner
                good = isinstance(found, int)
                yield ImageFile(as_text(str(path)), functools.partial(_read, path)) if good else _bad(str(path), found)

    def _of_archive(self, path: Path) -> Iterator[ImageFile]:
        tree = list_archive(path, enter_single_folder=False)
        for name in filter(self._is_image, tree.sizes):
            yield ImageFile(as_text(f"{path}/{name}"), functools.partial(tree.read, name))
        for problem in tree.problems:
            if self._is_image(problem.id):
                yield _bad(f"{path}/{problem.id}", problem.reason)

    def _of_compressed_tar(self, path: Path) -> Iterator[ImageFile]:
        """Read from its beginning to its end: no member is reached without those before it."""
        try:
            with tarfile.open(path, "r|*") as archive:
                while (member := archive.next()) is not None:
                    archive.members = []  # it would keep all of them
                    if member.isdir() or any(map(is_litter, member.name.split("/"))) or not self._is_image(member.name):
                        continue
                    content = _content(archive, member)
                    yield ImageFile(as_text(f"{path}/{member.name}"), functools.partial(_as_is, content))
        except _TAR_ERRORS as error:
            yield _bad(str(path), f"no whole .tar archive: {error}")

    def _of_table(self, path: Path) -> Iterator[ImageFile]:
        options = self._options.of_table(str(path))
        root = Path(options.images or path.parent)
        tree = list_archive(root, enter_single_folder=False) if root.is_file() else None
        for line, cell in read_images(path, options):
            if cell is None or not cell.strip():
                yield _bad(
                    f"{path} line {line}", "no image" if cell is not None else "not as many cells as the header has"
                )
                continue
            image = os.path.normpath(cell + options.image_suffix)
            read = functools.partial(_read, root / image) if tree is None else functools.partial(_member, tree, image)
            yield ImageFile(as_text(cell), read)

    def _is_image(self, name: str) -> bool:
        if IMAGE_NAME.fullmatch(name):
            return True
        self.aside += 1
        return False


def _expanded(text: str) -> list[str]:
    """The paths that an argument stands for: itself, or where nothing is called so, what matches it as a glob."""
    if text == STDIN or os.path.lexists(text):
        return [text]
    is_glob = glob.has_magic(text)
    found = sorted(glob.glob(text, recursive=True)) if is_glob else []
    expected = "Expected files that match a glob" if is_glob else "Expected a file or a folder at each of PATHS"
    require(bool(found), expected, path=text)
    return found


def _kind(path: Path) -> Literal["folder", "archive", "compressed", "table", "file"]:
    """What to do with a path: by its content, a table by its name."""
    if path.is_dir():
        return "folder"
    if not path.is_file():
        return "file"  # reading it will say why it can't be read
    try:
        with path.open("rb") as file:
            start = file.read(512)
    except OSError:
        return "file"
    if path.suffix.lower() in _TABLES:  # whose text may begin as a BMP does
        return "table"
    if image_kind(start) is not None:  # with an archive behind it, perhaps
        return "file"
    if compression(start) is not None:
        return "compressed"
    return "archive" if is_archive(path, start) else "file"


def _read(path: Path) -> bytes | Unreadable:
    size = file_size(path)
    return Unreadable(size) if isinstance(size, str) else read_file(path)


def _member(tree: Tree, name: str) -> bytes | Unreadable:
    return tree.read(name) if name in tree.sizes else Unreadable("no such file in the archive")


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes | Unreadable:
    if not member.isreg():
        return Unreadable("no plain file")
    return Unreadable(TOO_LARGE) if member.size > MAX_BYTES else archive.extractfile(member).read()


def _as_is(content: bytes | Unreadable) -> bytes | Unreadable:
    return content


def _bad(name: str, reason: str) -> ImageFile:
    return ImageFile(as_text(name), functools.partial(_as_is, Unreadable(reason)))


def first_of(files: ImageFiles) -> Iterator[ImageFile]:
    """The files again, of which there is one at least.

    Raises:
        InputError: There is none.
    """
    listed = iter(files)
    first = next(listed, None)
    if first is None:
        do = "In folders and archives only files with the name of an image are taken; quote a glob to name others."
        raise input_error("Expected an image in PATHS", files_passed_over=files.aside, do=do if files.aside else "")

    def again() -> Iterator[ImageFile]:
        yield first
        yield from listed

    return again()
