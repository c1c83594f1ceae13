import json
import os

from tuning.metrics import new_rows


def test_a_line_is_read_once_and_when_it_is_whole(tmp_path):
    path = tmp_path / "metrics.jsonl"
    nothing = new_rows(path)
    assert nothing.rows == []
    path.write_text('{"epoch": 1}\n{"epoch": 2')
    first = new_rows(path, nothing)
    assert first.rows == [{"epoch": 1}]
    assert new_rows(path, first).rows == []
    with path.open("a") as file:
        file.write('2}\ngarbage\n[3]\n\n{"epoch": 4, "val_loss": null}\n')
    second = new_rows(path, first)
    assert second.rows == [{"epoch": 22}, {"epoch": 4, "val_loss": None}]
    assert (first.anew, second.anew) == (True, False)
    assert new_rows(path).rows == [{"epoch": 1}, *second.rows]


def test_a_file_that_was_replaced_is_read_anew(tmp_path):
    path, other = tmp_path / "metrics.jsonl", tmp_path / "other"
    path.write_text("".join(json.dumps({"epoch": epoch}) + "\n" for epoch in (1, 2, 3)))
    before = new_rows(path)
    other.write_text("".join(json.dumps({"epoch": epoch}) + "\n" for epoch in (1, 2, 3, 4)))
    os.replace(other, path)
    after = new_rows(path, before)
    assert after.anew
    assert [row["epoch"] for row in after.rows] == [1, 2, 3, 4]
    path.write_text('{"epoch": 9}\n')  # in its place
    assert new_rows(path, after).rows == [{"epoch": 9}]
