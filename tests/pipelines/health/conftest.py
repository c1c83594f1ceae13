"""Small encoded images as a source, observed as a conversion observes them."""

import hashlib
import io
from collections.abc import Sequence

import numpy as np
import pytest
from PIL import Image, ImageOps

from pipelines.health.moments import channel_moments
from pipelines.health.observation import Observation
from pipelines.health.perceptual import perceptual_hash, tiny_picture
from pipelines.sources.source import Source


class Data:
    """Images added one by one, with their splits and labels."""

    def __init__(self, classes: Sequence[str] = ("cat", "dog")):
        self.classes = tuple(classes)
        self.images: list[tuple[bytes, str, int, str, str | None]] = []

    @staticmethod
    def scene(seed: int, width: int = 96, height: int = 64) -> Image.Image:
        """A picture in colour, large shapes and some texture, as unlike that of another seed as two photos."""
        random = np.random.default_rng(seed)
        parts = [random.integers(0, 256, (rows, 7 * rows // 5, 3), np.uint8) for rows in (5, 20)]
        shapes, texture = (np.asarray(Image.fromarray(part).resize((width, height))) for part in parts)
        return Image.fromarray((0.7 * shapes + 0.3 * texture).astype(np.uint8))

    @staticmethod
    def encoded(image: Image.Image, kind: str = "JPEG", **options: object) -> bytes:
        content = io.BytesIO()
        image.save(content, kind, **options)
        return content.getvalue()

    def add(self, data: bytes, split: str = "train", label: int = 0, id: str = "", group: str | None = None) -> int:
        self.images.append((data, split, label, id or f"{len(self.images)}.jpg", group))
        return len(self.images) - 1

    def source(self, own_splits: bool = False) -> Source:
        splits = np.array([image[1] for image in self.images])
        return Source(
            name="some/folder",
            classes=self.classes,
            ids=[image[3] for image in self.images],
            labels=np.array([image[2] for image in self.images]),
            splits={str(name): np.flatnonzero(splits == name) for name in np.unique(splits)} if own_splits else None,
            read=lambda places: [self.images[place][0] for place in places],
            at_once=3,
        )

    def observations(self) -> list[Observation]:
        return [self._observe(place, *image) for place, image in enumerate(self.images)]

    @staticmethod
    def _observe(place: int, data: bytes, split: str, label: int, id: str, group: str | None) -> Observation:
        image = Image.open(io.BytesIO(data))
        grey = np.asarray(ImageOps.exif_transpose(image).convert("L"))
        return Observation(
            place=place,
            split=split,
            label=label,
            id=id,
            group=group,
            bytes=len(data),
            sha256=hashlib.sha256(data).hexdigest(),
            width=image.width,
            height=image.height,
            channels=len(image.getbands()),
            format=image.format,
            orientation=image.getexif().get(274, 1),
            phash=perceptual_hash(grey),
            tiny=tiny_picture(grey),
            moments=channel_moments(np.asarray(image).reshape(image.height, image.width, -1)),
        )


@pytest.fixture
def data() -> Data:
    return Data()
