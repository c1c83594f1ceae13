"""What commands write can be written, or they say so before they work."""

from pathlib import Path

import pytest

from base import files
from base.errors import InputError
from scripts import doctor, train
from scripts.export import ExportOptions
from scripts.judging.evaluate_options import EvaluateOptions, Outputs
from scripts.judging.predict_options import PredictOptions
from scripts.preview import PreviewOptions
from scripts.summary import SummaryOptions
from tuning.search_directory import SearchDirectory


def evaluated(**places):
    Outputs(EvaluateOptions(run="run", **places), Path("run")).require_new()


def searched(out):
    with SearchDirectory(Path(out)).locked(lambda: None):
        pass


@pytest.mark.parametrize(
    ("option", "ask"),
    [
        ("out", lambda: evaluated()),
        ("out", lambda: evaluated(out="run/new")),
        ("predictions", lambda: evaluated(out="free", predictions="run/p.csv")),
        ("out", lambda: PredictOptions(model="m", out="run/p.csv")),
        ("out", lambda: ExportOptions(run="r", format="onnx", out="run/m.onnx")),
        ("out", lambda: SummaryOptions(model="cnn", activations="photo.jpg", out="run/new")),
        ("out", lambda: PreviewOptions(data="d", out="run/p.png")),
        ("out", lambda: searched("run")),
    ],
)
def test_folders_without_permission_are_refused(tmp_path, monkeypatch, option, ask):
    monkeypatch.chdir(tmp_path)
    for name in ("run", "free"):
        (tmp_path / name).mkdir()
    (tmp_path / "photo.jpg").write_bytes(b"")
    ask()
    monkeypatch.setattr(files.os, "access", lambda path, mode: path.name != "run")  # root may write anywhere
    with pytest.raises(InputError, match=f"^Expected --{option} in a folder that can be written"):
        ask()


@pytest.mark.parametrize(
    "ask",
    [
        lambda: evaluated(out="notes.txt/new"),
        lambda: SummaryOptions(model="cnn", activations="notes.txt", out="notes.txt/new"),
        lambda: searched("notes.txt/new"),
    ],
)
def test_folders_within_a_file_are_refused(tmp_path, monkeypatch, ask):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes.txt").write_text("")
    with pytest.raises(InputError, match="^Expected --out in a folder that can be written.* no_folder="):
        ask()


@pytest.mark.parametrize(
    ("main", "argv", "told"),
    [
        (train.main, ["--run", "notes.txt/run"], "Expected --run in a folder that can be written"),
        (doctor.main, ["--apply", "free"], "Expected --apply to name a file"),
        (doctor.main, ["--apply", "free/fast.yaml"], "Expected --apply in a folder that can be written"),
    ],
)
def test_commands_say_so_in_a_line_before_they_train(digits, tmp_path, monkeypatch, capsys, main, argv, told):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes.txt").write_text("")
    (tmp_path / "free").mkdir()
    monkeypatch.setattr(files.os, "access", lambda path, mode: path.name != "free")
    assert main(["--data", digits, *argv]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {told}") and error.count("\n") == 1
