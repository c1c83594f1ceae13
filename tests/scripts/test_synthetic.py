import json

import pytest
import yaml

from scripts import build_tfrecords, train

SMALL = ["--blocks", "1", "--filters", "2", "--dense-layers", "0", "--batch-size", "16"]


@pytest.mark.parametrize("augment", [[], ["--augment", "flip"], ["--augment", "flip", "--augment-on", "host"]])
def test_synthetic_trains_without_the_shards_and_judges_nothing(tmp_path, capsys, augment):
    data, run = tmp_path / "data", tmp_path / "run"
    assert build_tfrecords.main(["digits", "--out", str(data)]) == 0
    for shard in data.glob("*.tfrecord*"):
        shard.unlink()
    argv = ["--data", str(data), "--run", str(run), "--synthetic", "--epochs", "1", *SMALL, *augment]
    assert train.main(argv) == 0
    output = capsys.readouterr().out
    assert "data  synthetic: one batch of random pixels" in output and "evaluation: none" in output
    row = json.loads((run / "metrics.jsonl").read_text())
    assert "val_loss" not in row and not (run / "evaluation.json").exists()
    config = yaml.safe_load((run / "config.yaml").read_text())
    assert config["synthetic"] is True and config["evaluate_on"] == "none"
    assert train.main(argv) == 0
    assert "finished already" in capsys.readouterr().out
