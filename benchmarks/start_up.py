"""Time from the command to the first step: `scripts/train.py` against a script that does nothing else.

    python benchmarks/start_up.py [--repeats 7]

The other script imports Keras, builds and compiles the same model, and calls `train_on_batch` once. train.py reads a
data set of a single batch, whose epoch is one step: the line that it adds to metrics.jsonl then tells when the step is
done. Both are processes of their own, in turns; their ratio is of neighbours in time. On a machine that others use,
too, the CPU time until then is the steadier one.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
BATCH, SIZE, FILTERS = 64, 28, 8

PEER = f"""
import sys
import keras
import numpy as np
from models.cnn import build_cnn
from models.cnn_options import CNNOptions
from models.heads import Head

head = Head("softmax", "cross_entropy", 2)
model = build_cnn(CNNOptions(blocks=2, filters={FILTERS}, batch_norm=True), ({SIZE}, {SIZE}, 1), head)
model.compile("adam", head.keras_loss(), metrics=[head.keras_accuracy()])
model.train_on_batch(np.zeros([{BATCH}, {SIZE}, {SIZE}, 1], np.uint8), np.zeros([{BATCH}], np.int32))
open(sys.argv[1], "w").write("done")
"""


def main() -> None:
    """Runs the comparison and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=7)
    repeats = parser.parse_args().repeats
    ours, peer = [], []
    with tempfile.TemporaryDirectory() as folder:
        _make_data(Path(folder))
        for i in range(repeats + 1):
            run, marker = Path(folder, f"run{i}"), Path(folder, f"peer{i}")
            options = f"--epochs 1 --batch-size {BATCH} --blocks 2 --filters {FILTERS} --batch-norm"
            command = ["scripts/train.py", "--data", f"{folder}/data", "--run", str(run), *options.split()]
            ours.append(_time_until(run / "metrics.jsonl", command))
            peer.append(_time_until(marker, ["-c", PEER, str(marker)]))
    for unit, place in (("s", 0), ("CPU s", 1)):
        pairs = [
            (a[place], b[place]) for a, b in zip(ours[1:], peer[1:], strict=True)
        ]  # the first reads files from disk
        ratios = [a / b for a, b in pairs]
        for name, values in (("train.py", [a for a, _ in pairs]), ("script", [b for _, b in pairs])):
            print(f"{name:10} {statistics.median(values):6.2f} {unit} median, {min(values):6.2f} best")
        print(f"train.py takes {statistics.median(ratios):.2f} (median; {min(ratios):.2f} to {max(ratios):.2f}) of it")


def _make_data(folder: Path) -> None:
    """A data set whose training split is one batch."""
    rng = np.random.default_rng(0)
    for label in ("a", "b"):
        (folder / "images" / "train" / label).mkdir(parents=True)
        for i in range(BATCH // 2):
            image = Image.fromarray(rng.integers(0, 256, (SIZE, SIZE), np.uint8))
            image.save(folder / "images" / "train" / label / f"{i}.png")
    command = ["scripts/build_tfrecords.py", str(folder / "images"), "--out", str(folder / "data")]
    subprocess.run([sys.executable, *command], cwd=ROOT, env=_environment(), check=True, capture_output=True)


def _time_until(marker: Path, command: list[str]) -> tuple[float, float]:
    """Seconds and CPU seconds of a Python process until `marker` holds something."""
    started = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, *command],
        cwd=ROOT,
        env=_environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while not (marker.exists() and marker.stat().st_size):
        if process.poll() is not None:
            raise SystemExit(f"ended before its first step: {command}")
        time.sleep(0.005)
    taken = time.perf_counter() - started, _cpu_seconds(process.pid)
    process.wait()
    return taken


def _cpu_seconds(process: int) -> float:
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")  # user and system


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"}


if __name__ == "__main__":
    main()
