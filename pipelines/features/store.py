"""Where features are stored: beside their data set, under a key of all that they follow from.

    DATA.features/
        KEY/                   16 hex digits, see `FeatureStore.key`
            train/             appears whole, or not at all
                features.json  what they are of, and each shard's checksum
                features.tfrecord-00000-of-00001
            .train.partial/    what a computation is at work on, or was when it was killed
            .train.lock        held by it

Beside the data set and not in it: a data set folder holds what its manifest says, TFDS reads it, and `--overwrite`
replaces nothing else. `DATA.features` may be removed at any time: what is missing is computed again.
"""

import contextlib
import dataclasses
import hashlib
import json
import math
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from base.errors import InputError, input_error, require
from base.files import locked, sync, write_json
from pipelines.features.files import FeatureFiles, Vectors
from pipelines.features.writer import FeatureWriter, Rows, writing
from pipelines.manifest import Manifest, Shard

FORMAT = "millrace-features"
VERSION = 1
FILE_NAME = "features.json"


@dataclasses.dataclass(frozen=True, kw_only=True)
class FeatureStore:
    """The stored features of one data set by one backbone, split by split.

    Attributes:
        data: The data set's folder.
        manifest: Its manifest.
        vectors: Their form.
        made_of: All else that they follow from, as JSON has it: of the backbone, and of how images get to it.
    """

    data: Path
    manifest: Manifest
    vectors: Vectors
    made_of: Mapping[str, Any]

    @property
    def facts(self) -> dict[str, Any]:
        """What `features.json` must say for the features to be these."""
        form = {"features": self.vectors.length, "dtype": self.vectors.dtype.name}
        return {"data": self.manifest.fingerprint, **self.made_of, **form}

    @property
    def key(self) -> str:
        """Names the features: equal for equal facts."""
        content = json.dumps([FORMAT, VERSION, self.facts], sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()[:16]

    @property
    def folder(self) -> Path:
        """Where they are."""
        data = Path(self.data).resolve()
        return data.with_name(f"{data.name}.features") / self.key

    def files(
        self, split: str, compute: Callable[[], Iterable[Rows]], say: Callable[[str], None] = print
    ) -> FeatureFiles:
        """The features of a split; computed unless they are there, by one process at a time: others wait for it.

        Args:
            split: Its name.
            compute: What gives all rows of the split, in its order.
            say: Told when another process is waited for, and when features are broken and computed anew.

        Raises:
            InputError: No such split, a folder that can't be written, or features that are no numbers.
        """
        self.manifest.split(split, self.data)
        with contextlib.suppress(FileNotFoundError, InputError):
            return self._found(split)
        with self._claimed(split, say):
            try:
                return self._found(split)  # another process may have computed them meanwhile
            except FileNotFoundError:
                pass
            except InputError as error:
                say(f"stored features are not what they were, and computed anew: {error}")
            self._write(split, compute())
            return self._found(split)

    def _found(self, split: str) -> FeatureFiles:
        """What is stored of a split, every byte looked at.

        Raises:
            FileNotFoundError: Nothing.
            InputError: Something else than it should be.
        """
        path = self.folder / split / FILE_NAME
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            described = [content[name] for name in ("format", "version", "of", "split")]
            kept = tuple(Shard(**shard) for shard in content["shards"])
        except FileNotFoundError:
            raise
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise input_error(f"Expected readable features at {path}", error=repr(error)) from None
        wanted = [FORMAT, VERSION, self.facts, split]
        require(described == wanted, f"Expected at {path} features of {wanted}", found=described)
        of_features = dataclasses.replace(self.manifest.splits[split], shards=kept)
        manifest = dataclasses.replace(self.manifest, splits={split: of_features})
        files = FeatureFiles(folder=path.parent, manifest=manifest, name=split)
        for shard, name in zip(kept, files.paths, strict=True):
            with open(name, "rb") as file:
                sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            if sha256 != shard.sha256:
                expected = f"Expected {name} to have the checksum that {FILE_NAME} says"
                raise files.culprit(self.vectors) or input_error(expected, sha256=sha256)
        return files

    def _write(self, split: str, rows: Iterable[Rows]) -> None:
        """Gives the features of a split their place, when the last one is on the disk."""
        partial, whole, examples = self.folder / f".{split}.partial", self.folder / split, self.manifest.splits[split]
        shutil.rmtree(partial, ignore_errors=True)
        with writing(self.folder):
            partial.mkdir()
        try:
            writer = FeatureWriter(partial, self.vectors)
            for some in rows:
                writer.write(some)
            if writer.examples != examples.examples:
                raise RuntimeError(f"features of {writer.examples} examples, where {split!r} has {examples.examples}")
            kept = [dataclasses.asdict(shard) for shard in writer.close()]
            content = {"format": FORMAT, "version": VERSION, "key": self.key, "of": self.facts, "split": split}
            content |= {"examples": writer.examples, "shards": kept}
            with writing(self.folder):
                write_json(partial / FILE_NAME, content)
                sync(partial)
                if whole.exists():  # broken
                    shutil.rmtree(whole)
                os.replace(partial, whole)
                sync(self.folder)
        finally:
            shutil.rmtree(partial, ignore_errors=True)

    @contextlib.contextmanager
    def _claimed(self, split: str, say: Callable[[str], None]) -> Iterator[None]:
        """Keeps other processes from computing the same; waits for one that does."""
        path = self.folder / f".{split}.lock"
        with contextlib.ExitStack() as held:
            with writing(self.folder):
                self.folder.mkdir(parents=True, exist_ok=True)
                try:
                    held.enter_context(locked(path))
                except BlockingIOError:
                    say(f"waiting for another process, which computes the features of split {split!r}")
                    held.enter_context(locked(path, wait=math.inf))
            yield
