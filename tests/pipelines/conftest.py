"""Real image files, made here: what they hold is known to the last pixel (JPEG: to the last byte)."""

import struct
from pathlib import Path

import numpy as np
import pytest

from pipelines.conversion import shards


class Images:
    """Encodes random images; each has other pixels than the one before."""

    def __init__(self) -> None:
        self._random = np.random.default_rng(7)

    def pixels(self, height: int = 6, width: int = 9, channels: int = 3) -> np.ndarray:
        return self._random.integers(0, 256, (height, width, channels), np.uint8)

    def png(self, pixels: np.ndarray | None = None) -> bytes:
        import tensorflow as tf

        return tf.io.encode_png(self.pixels() if pixels is None else pixels).numpy()

    def jpeg(self, pixels: np.ndarray | None = None, orientation: int | None = None) -> bytes:
        import tensorflow as tf

        data = tf.io.encode_jpeg(self.pixels() if pixels is None else pixels).numpy()
        if orientation is None:
            return data
        tiff = struct.pack("<4sIHHHIII", b"II*\0", 8, 1, 0x0112, 3, 1, orientation, 0)
        segment = b"Exif\0\0" + tiff
        return data[:2] + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + data[2:]

    @staticmethod
    def bmp(pixels: np.ndarray, palette: np.ndarray | None = None) -> bytes:
        """`[H, W, 3]`, or `[H, W, 1]` with a palette `[256, 3]`; rows from the bottom up, padded to four bytes."""
        height, width, channels = pixels.shape
        table = b"" if palette is None else np.pad(palette[:, ::-1], ((0, 0), (0, 1))).astype(np.uint8).tobytes()
        rows = b"".join(row[:, ::-1].tobytes() + bytes(-width * channels % 4) for row in pixels[::-1])
        start = 54 + len(table)
        header = struct.pack("<2sIII", b"BM", start + len(rows), 0, start)
        return header + struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8 * channels, 0, 0, 0, 0, 0, 0) + table + rows

    @staticmethod
    def gif(frames: list[np.ndarray], palette: np.ndarray) -> bytes:
        """Frames of palette indices below 128, `[H, W]`: with a clear code before each one, LZW codes have 8 bits."""
        height, width = frames[0].shape
        content = b"GIF89a" + struct.pack("<HHBBB", width, height, 0xF6, 0, 0) + palette.astype(np.uint8).tobytes()
        for frame in frames:
            codes = b"".join(bytes([0x80, index]) for index in frame.ravel().tolist()) + b"\x81"
            blocks = b"".join(bytes([len(part)]) + part for part in _parts(codes, 255))
            content += b"\x2c" + struct.pack("<HHHHB", 0, 0, width, height, 0) + b"\x07" + blocks + b"\0"
        return content + b"\x3b"


def _parts(data: bytes, size: int) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]


@pytest.fixture
def images() -> Images:
    return Images()


@pytest.fixture
def fill(images: Images):
    """Writes `count` PNG files into each class folder, `fill(root, {"cats": 10, "dogs": 20})`."""

    def fill(root: Path, classes: dict[str, int]) -> Path:
        for name, count in classes.items():
            (root / name).mkdir(parents=True, exist_ok=True)
            for number in range(count):
                (root / name / f"{number:03}.png").write_bytes(images.png())
        return root

    return fill


@pytest.fixture
def convert_into():
    """Converts as the command does, `convert_into(source, out, encoding="png", ...)`; returns the manifest."""

    def convert_into(source, out: Path, *, workers=2, seed=0, hold_out="validation=0.1", **options):
        from pipelines.conversion.convert import convert
        from pipelines.conversion.options import ConvertOptions, RunOptions
        from pipelines.conversion.plan import plan_splits
        from pipelines.conversion.workplace import claimed
        from pipelines.sources.open import open_source
        from pipelines.sources.options import SourceOptions

        chosen = SourceOptions(source=str(source), seed=seed, hold_out=hold_out)
        wanted = ConvertOptions(out=str(out), **options)
        listed = open_source(chosen)
        made_by = {**chosen.made_by(), **wanted.made_by()}
        with claimed(wanted.out_path) as place:
            run = RunOptions(workers=workers)
            plan = plan_splits(listed, chosen)
            return convert(place, listed, plan, wanted, made_by, run=run, seed=seed).manifest

    return convert_into


@pytest.fixture
def open_split():
    """A split of a dataset folder, its images as `policy` wants them: `open_split(folder, spec, cache="none", ...)`."""

    def open_split(folder, spec, *, split="train", batch_size=4, policy=None, seed=3, balanced=False, **options):
        from pipelines.augment.augmentation import host_crop
        from pipelines.images import frames
        from pipelines.manifest import read_manifest
        from pipelines.reading import reader
        from pipelines.reading.budget import Budget
        from pipelines.reading.options import ReaderOptions
        from pipelines.reading.parts import Parts
        from pipelines.reading.split_files import SplitFiles

        manifest, chosen = read_manifest(folder), ReaderOptions(**options)
        return reader.open_split(
            SplitFiles(folder=folder, manifest=manifest, name=split),
            frames=frames.training_frames(manifest, spec, policy, host_crop(policy, seed)),
            parts=Parts(batch_size=batch_size),
            options=chosen,
            budget=Budget(chosen.memory_budget),
            balanced=balanced,
        )

    return open_split


@pytest.fixture
def folder(tmp_path, images, convert_into, monkeypatch):
    """43 images of two classes, 30 and 13, in several shards: JPEGs of many sizes, some turned, and PNGs."""
    monkeypatch.setattr(shards, "SHARD_BYTES", 15_000)
    for place in range(43):
        name = "cats" if place < 30 else "dogs"
        (tmp_path / "in/train" / name).mkdir(parents=True, exist_ok=True)
        pixels = images.pixels(20 + place % 7, 30 - place % 5)
        data = images.png(pixels) if place % 3 == 0 else images.jpeg(pixels, 1 + place % 8)
        (tmp_path / "in/train" / name / f"{place}.jpg").write_bytes(data)
    manifest = convert_into(tmp_path / "in", tmp_path / "data", hold_out="0")
    assert len(manifest.splits["train"].shards) > 3 and manifest.oriented > 10
    return tmp_path / "data"
