import io
import json
import os

from rich.console import Console

from tuning.live import Follower, Overview, Standing, epochs_of, row, seconds_left, standing, view
from tuning.objective import objective_of


def metrics(*losses, first: int = 1) -> list[dict]:
    return [
        {"epoch": epoch, "val_loss": loss, "images_per_second": 100.0 * epoch}
        for epoch, loss in enumerate(losses, first)
    ]


def test_a_standing_is_the_same_whether_its_rows_come_together_or_one_by_one():
    rows = metrics(0.5, None, float("nan"), 0.25, 0.75)
    together = standing(rows, Standing())
    assert together == Standing(epoch=5, began=0, best=0.25, images_per_second=500.0)
    alone = Standing()
    for one in rows:
        alone = standing([one], alone)
    assert alone == together


def test_an_objective_that_is_to_grow_is_best_where_it_is_greatest():
    rows = [{"epoch": epoch, "val_accuracy": value} for epoch, value in enumerate((0.5, 0.75, 0.25), 1)]
    assert standing(rows, Standing(), objective=objective_of("val_accuracy")).best == 0.75


def test_the_time_left_counts_the_epochs_of_this_process():
    fresh = standing(metrics(0.5, 0.4), Standing())
    assert row(3, 1, fresh, epochs=10, seconds=20).seconds_left == 80
    went_on = standing(metrics(0.3, 0.2, first=7), Standing(epoch=6, began=6))
    assert went_on.began == 6
    assert row(3, 1, went_on, epochs=10, seconds=20).seconds_left == 20
    assert row(3, 1, Standing(), epochs=10, seconds=20).seconds_left is None
    assert row(3, 1, fresh, epochs=10, seconds=20, more=2).seconds_left == 280  # two executions are to follow


def test_the_epochs_of_a_recipe_are_those_of_its_stages():
    assert epochs_of({"epochs": 7, "stages": None}) == 7
    assert epochs_of({"stages": "head:5, finetune:10"}) == 15


def test_a_search_ends_when_its_last_slot_does():
    rows = [row(1, 1, Standing(epoch=epoch), epochs=10, seconds=epoch) for epoch in (2, 9)]  # 8 and 1 seconds left
    assert seconds_left(rows, waiting=0, mean_seconds=10.0, slots=2) == 8
    assert seconds_left(rows, waiting=1, mean_seconds=10.0, slots=2) == 11
    assert seconds_left(rows, waiting=2, mean_seconds=10.0, slots=2) == 18
    assert seconds_left(rows, waiting=2, mean_seconds=10.0, slots=3) == 11
    assert seconds_left(rows, waiting=1, mean_seconds=None, slots=2) is None
    assert seconds_left([row(1, 1, Standing(), epochs=10, seconds=5)], waiting=0, mean_seconds=None, slots=1) is None


def test_a_run_that_goes_on_is_followed_through_the_change_of_its_file(tmp_path):
    path = tmp_path / "metrics.jsonl"

    def write(rows, mode="w"):
        with (tmp_path / "new").open("w") as file:
            file.write((path.read_text() if mode == "a" else "") + "".join(json.dumps(one) + "\n" for one in rows))
        os.replace(tmp_path / "new", path)

    write(metrics(0.5, 0.4, 0.1))  # the last one came after the checkpoint
    follower = Follower(tmp_path)
    assert follower.look() == Standing(epoch=3, began=3, best=0.1, images_per_second=300.0)
    write(metrics(0.5, 0.4))
    assert follower.look() == Standing(epoch=2, began=2, best=0.4, images_per_second=200.0)
    with path.open("a") as file:
        file.write(json.dumps(metrics(0.3, first=3)[0]) + "\n")
    assert follower.look() == Standing(epoch=3, began=2, best=0.3, images_per_second=300.0)
    assert follower.curve == (0.5, 0.4, 0.3)


def test_a_run_that_goes_on_from_anothers_epochs_has_done_only_its_own(tmp_path):
    follower = Follower(tmp_path, done=9)
    assert follower.look() == Standing(epoch=9, began=9)
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(one) + "\n" for one in metrics(0.5, first=10)))
    now = follower.look()
    assert (now.epoch, now.began) == (10, 9)
    assert row(1, 1, now, epochs=27, seconds=60).seconds_left == 60 * 17
    assert Follower(tmp_path, done=9).look().began == 10  # killed, and begun again


def test_a_fresh_run_s_epochs_are_all_its_own(tmp_path):
    follower = Follower(tmp_path)
    assert follower.look() == Standing()
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(one) + "\n" for one in metrics(0.5, 0.4)))
    assert follower.look() == Standing(epoch=2, began=0, best=0.4, images_per_second=200.0)


def test_the_view_shows_the_running_and_sums_up_the_rest():
    rows = (
        row(11, 1, standing(metrics(0.5, 0.25), Standing()), epochs=4, seconds=3000),
        row(12, 2, Standing(), epochs=4, seconds=1),
    )
    overview = Overview(rows=rows, done=9, failed=1, trials=20, best=(4, 0.125), seconds_left=5025.4)
    console = Console(file=io.StringIO(), width=100)
    console.print(view(overview))
    lines = [line.split() for line in console.file.getvalue().splitlines()]
    assert lines[1:3] == [["11", "1", "2/4", "0.2500", "200", "50:00"], ["12", "2", "0/4", "-", "-", "-"]]
    said = " ".join(lines[3])
    assert said == "2 running 9 done of 20 1 failed best so far 0.1250 (trial 4) ETA 1:23:45"
