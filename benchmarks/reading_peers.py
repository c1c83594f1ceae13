"""Other libraries at the work of `reading.py`: full-size JPEGs, random-resized-crop 224, flip, uint8 batches of 64.

A process of its own for each, in whatever environment it is installed: `reading_peers.py PEER FOLDER THREADS`. It
answers `ready` once its first batch is there, then for each line with a number of batches it reads that many, and
answers how many images a second they were.
"""

import sys
import time
from collections.abc import Iterator
from pathlib import Path

SIZE, BATCH = 224, 64


def torch_and_pillow(folder: str, threads: int) -> Iterator:
    """DataLoader, one worker process a core, torchvision's transforms on Pillow images."""
    import torch
    from torchvision import datasets, transforms

    steps = [transforms.RandomResizedCrop(SIZE), transforms.RandomHorizontalFlip(), transforms.PILToTensor()]
    images = datasets.ImageFolder(folder, transforms.Compose(steps))
    loader = torch.utils.data.DataLoader(
        images, BATCH, shuffle=True, num_workers=threads, drop_last=True, persistent_workers=True
    )
    while True:
        yield from loader


def grain(folder: str, threads: int) -> Iterator:
    """Threads, one a core (its worker processes were seen to hang at the start), the same steps on Pillow images."""
    import grain
    import numpy as np
    from PIL import Image
    from torchvision import transforms

    crop, flip = transforms.RandomResizedCrop(SIZE), transforms.RandomHorizontalFlip()

    def load(path: Path) -> np.ndarray:
        with Image.open(path) as image:
            return np.asarray(flip(crop(image.convert("RGB"))))

    files = sorted(Path(folder).glob("*/*"))
    dataset = grain.MapDataset.source(files).seed(0).shuffle().repeat().map(load).batch(BATCH, drop_remainder=True)
    options = grain.ReadOptions(num_threads=threads, prefetch_buffer_size=4)
    return iter(dataset.to_iter_dataset(options))


def dali(folder: str, threads: int) -> Iterator:
    """The CPU pipeline: fused decode and crop."""
    from nvidia.dali import fn, pipeline_def, types

    @pipeline_def(batch_size=BATCH, num_threads=threads, device_id=None, seed=0)
    def pipeline():
        files, labels = fn.readers.file(file_root=folder, random_shuffle=True, name="files")
        images = fn.decoders.image_random_crop(files, device="cpu", output_type=types.RGB)
        images = fn.resize(images, size=[SIZE, SIZE])
        return fn.flip(images, horizontal=fn.random.coin_flip()), labels

    built = pipeline()
    built.build()
    while True:
        yield built.run()


PEERS = {"torch + Pillow": torch_and_pillow, "grain + Pillow": grain, "DALI on the CPU": dali}


def main() -> None:
    """Serves one peer."""
    batches = PEERS[sys.argv[1]](sys.argv[2], int(sys.argv[3]))
    next(batches)
    print("ready", flush=True)
    for line in sys.stdin:
        for _ in range(2 * int(sys.argv[3])):  # those that were waiting
            next(batches)
        count, started = int(line), time.perf_counter()
        for _ in range(count):
            next(batches)
        print(count * BATCH / (time.perf_counter() - started), flush=True)


if __name__ == "__main__":
    main()
