import numpy as np
import pytest

from pipelines.images.input_options import InputSpec
from pipelines.manifest import read_manifest
from pipelines.reading.options import ReaderOptions
from pipelines.reading.parts import Parts
from scripts import build_tfrecords
from scripts.training.feeds import Data


@pytest.mark.parametrize("cache", ["memory", "none"])
def test_training_batches_carry_each_examples_own_weight(tmp_path, cache):
    assert build_tfrecords.main(["digits", "--out", str(tmp_path / "data")]) == 0
    manifest = read_manifest(tmp_path / "data")
    spec = InputSpec(image_size=8, channels=1, fit="stretch")
    options = ReaderOptions(cache=cache)
    weights = np.random.default_rng(0).random(manifest.splits["train"].examples, np.float32)
    arguments = tmp_path / "data", manifest, spec, Parts(batch_size=16, replicas=2), options
    feed = Data(*arguments, sample_weights=weights).training("train", start_step=3)
    plain = Data(*arguments).training("train", start_step=3)
    for batch, same in zip(feed.dataset.take(4), plain.dataset.take(4), strict=True):
        np.testing.assert_array_equal(batch["sample_weight"], weights[batch["index"].numpy()])
        np.testing.assert_array_equal(batch["index"], same["index"])
    assert "sample_weight" not in same
