"""The page of a search, read as a browser reads it: its text, its pictures."""

import base64
import html.parser
import json
import time
import xml.etree.ElementTree as ElementTree

import pytest

from tuning.live import Overview
from tuning.oracles.options import OracleOptions
from tuning.plan import SearchPlan
from tuning.report import report as search_report
from tuning.report.report import LiveReport, write_report
from tuning.search_directory import SearchDirectory
from tuning.space.label import label
from tuning.space.parameters import Boolean, Choice, Condition, Float
from tuning.trial import Execution, TrialResult, execution_folder, result_of, write_result

SGD, ADAM = (Condition(name="optimizer", values=(name,)) for name in ("sgd", "adam"))
SPACE = (
    Choice(name="blocks", values=(1, 2, 3), label="conv"),
    Choice(name="optimizer", values=("sgd", "adam")),
    Float(name="learning_rate", low=0.01, high=1.0, log=True, when=SGD),
    Float(name="learning_rate", low=1e-4, high=1e-2, log=True, when=ADAM),
    Boolean(name="nesterov", when=SGD),
)
NAUGHTY = "<script>alert(1)</script>"


class Page(html.parser.HTMLParser):
    """What a page shows: its text, its tags, its pictures by their names."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text, self.tags, self.pictures = "", [], {}
        self._style = False
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self._style = tag == "style"
        if tag == "img":
            named = dict(attrs)
            kind, content = named["src"].split(",", 1)
            assert kind == "data:image/svg+xml;base64"  # nothing is loaded
            self.pictures[named["alt"]] = ElementTree.fromstring(base64.b64decode(content))

    def handle_data(self, data):
        if not self._style and data.strip():
            self.text += " ".join(data.split()) + " "


def texts(picture: ElementTree.Element) -> list[str]:
    return [element.text for element in picture.iter("{http://www.w3.org/2000/svg}text")]


def plan(space=SPACE, algorithm="random", objective="val_loss", executions=1) -> SearchPlan:
    epochs = {"max_epochs": 9} if algorithm == "hyperband" else {}
    return SearchPlan(
        space=space,
        options={"data": f"/data/{NAUGHTY}"},
        oracle=OracleOptions(algorithm=algorithm, objective=objective, **epochs),
        executions=executions,
        seed=7,
        data_fingerprint="abc123",
    )


def trained(directory, number, values, losses, accuracies=(), space=SPACE, first=1, **fields) -> TrialResult:
    """A trial that ended well, with one execution for each row of losses."""
    executions = []
    for execution, row in enumerate(losses, start=1):
        run = execution_folder(directory.trial(number), execution) / "run"
        run.mkdir(parents=True)
        lines = [{"epoch": epoch, "val_loss": loss} for epoch, loss in enumerate(row, start=first)]
        for line, accuracy in zip(lines, accuracies or [0.5] * len(row), strict=True):
            line["val_accuracy"] = accuracy
        (run / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        best = min(lines, key=lambda line: line["val_loss"])
        measured = {name: best[name] for name in ("val_loss", "val_accuracy")}
        times = {"seconds": 12.5, "to_first_step": 4.0 + number, "after_last_step": 1.25, "memory": 2**29}
        slot = {"slot": 1 + number % 2, "idle_before": None if number < 3 else 0.125}
        one = Execution(seed=7, score=best["val_loss"], epoch=best["epoch"], metrics=measured, **times, **slot)
        executions.append(one)
    result = result_of(number, values, label(space, values), executions, **fields)
    write_result(directory.trial(number), result)
    return result


def failed(directory, number, values, reason) -> None:
    write_result(
        directory.trial(number), result_of(number, values, "a-name", [Execution(seed=7, seconds=3.0, reason=reason)])
    )


def page_of(directory, a_plan) -> Page:
    write_report(directory, a_plan, ["core 0", NAUGHTY])
    return Page(directory.report.read_text(encoding="utf-8"))


@pytest.fixture
def directory(tmp_path):
    folder = SearchDirectory(tmp_path / f"out-{NAUGHTY.replace('/', '')}")
    folder.path.mkdir()
    return folder


def some_values(number: int) -> dict:
    if number % 2:
        rate, rest = 0.01 * 1.2**number, {"nesterov": number % 4 == 1}
        return {"blocks": 1 + number % 3, "optimizer": "sgd", "learning_rate": rate, **rest}
    return {"blocks": 1 + number % 3, "optimizer": "adam", "learning_rate": 1e-4 * 1.2**number}


def test_the_page_has_every_part_and_needs_nothing_else(directory):
    for number in range(1, 15):
        loss = some_values(number)["blocks"] / 4
        trained(directory, number, some_values(number), [[1.0 + loss, loss]], [0.25, 1 - loss])
    failed(directory, 15, some_values(15), f"out of memory {NAUGHTY}")
    write_result(
        directory.trial(16),
        TrialResult(number=16, values=some_values(16), label="b", state="impossible", reason="needs 90 GiB"),
    )
    page = page_of(directory, plan())
    assert "script" not in page.tags
    assert page.text.count(NAUGHTY) == 3  # the data set, a slot, a reason
    assert set(page.pictures) == {
        "Learning curves",
        "Parallel coordinates",
        *(f"Slice of {name}" for name in ("blocks", "optimizer", "learning_rate", "nesterov")),
        *("Timeline", "Seconds a trial", "Memory a trial"),
    }
    # Trial 3 is the first of the best: 1 block.
    assert "1 3 1-conv-sgd-optimizer-" in page.text
    assert "0.2500 0.7500 2 12.5 blocks=1 optimizer=sgd learning_rate=0.0173 nesterov=False" in page.text
    assert "absent" in texts(page.pictures["Parallel coordinates"])
    assert "7 trials don't have it." in page.text
    assert "functional ANOVA" in page.text
    assert page.text.index("blocks 9") < page.text.index("several together")
    assert "process start to first step 11.5 5.0 18.0 14" in page.text
    assert "last step to process end 1.2 1.2 1.2 14" in page.text
    assert "15 failed a-name out of memory" in page.text
    assert "trials/15/log.txt" in page.text
    assert "16 impossible b needs 90 GiB" in page.text


def test_equal_searches_have_equal_pages(directory):
    for number in range(1, 4):
        trained(directory, number, some_values(number), [[0.5 / number]])
    page_of(directory, plan())
    first = directory.report.read_bytes()
    page_of(directory, plan())
    assert directory.report.read_bytes() == first


@pytest.mark.parametrize("algorithm", ["random", "grid", "hyperband"])
def test_a_search_without_trials_or_with_failed_ones_alone_has_a_page(directory, algorithm):
    assert "No trial has a score." in page_of(directory, plan(algorithm=algorithm)).text
    failed(directory, 1, some_values(1), "no")
    page = page_of(directory, plan(algorithm=algorithm))
    assert set(page.pictures) == {"Timeline", "Seconds a trial"}
    assert "1 failed a-name no trials/01/log.txt" in page.text


@pytest.mark.parametrize("losses", [[0.5], [1e-9, 1e9], [0.0, -1.0]])
def test_a_search_of_one_trial_has_a_page_and_claims_no_importance(directory, losses):
    trained(directory, 1, some_values(2), [losses])
    page = page_of(directory, plan())
    assert set(page.pictures) == {"Learning curves", "Timeline", "Seconds a trial", "Memory a trial"}
    assert "1 trial with a score: it takes 12" in page.text


def test_trials_that_all_have_one_value_and_one_score_have_a_page(directory):
    for number in range(1, 14):
        trained(directory, number, some_values(2), [[0.5]])
    page = page_of(directory, plan())
    assert "it takes 12, and scores that differ" in page.text
    assert not any(name.startswith("Slice") for name in page.pictures)


def test_names_and_values_are_shown_as_they_are(directory):
    space = (Choice(name="weights", values=(NAUGHTY, "$x^2$")), Boolean(name="a_$b$"))
    for number, weights in enumerate((NAUGHTY, "$x^2$"), start=1):
        trained(directory, number, {"weights": weights, "a_$b$": number == 1}, [[0.5 / number]], space=space)
    page = page_of(directory, plan(space))
    assert "script" not in page.tags
    assert f"weights={NAUGHTY}" in page.text
    for name in ("Slice of weights", "Parallel coordinates"):
        assert "$x^2$" in texts(page.pictures[name])
    assert NAUGHTY in texts(page.pictures["Slice of weights"])
    assert "a_$b$" in texts(page.pictures["Parallel coordinates"])


def test_a_grid_has_its_names_by_the_objective_and_by_the_best_accuracy(directory):
    # The best accuracy of trial 2 is not in the epoch of its lowest loss.
    for number, losses, accuracies in ((1, [0.3, 0.4], [0.8, 0.7]), (2, [0.5, 0.9], [0.6, 0.9])):
        trained(directory, number, {"blocks": number}, [losses], accuracies)
    text = page_of(directory, plan(algorithm="grid")).text
    assert "By val_loss 1 1-conv 0.3000 2 2-conv 0.5000 By val_accuracy 1 2-conv 0.9000 2 1-conv 0.8000" in text
    assert "By val_accuracy" not in page_of(directory, plan()).text


def test_several_executions_show_their_deviation(directory):
    trained(directory, 1, some_values(1), [[0.5, 0.25], [0.75, 0.5]])
    text = page_of(directory, plan(executions=2)).text
    assert "0.3750 ± 0.1768 0.5000 2, 2 25.0" in text


def test_a_hyperband_search_says_how_long_and_from_what(directory):
    trained(directory, 1, some_values(2), [[0.9, 0.8, 0.7]], epochs=3)
    trained(directory, 2, some_values(4), [[0.95, 0.9, 0.85]], epochs=3)
    trained(directory, 3, some_values(2), [[0.5, 0.4]], first=4, epochs=5, parent=1)
    page = page_of(directory, plan(algorithm="hyperband"))
    assert "from trial 1 0.4000 0.5000 5 of 5" in page.text
    assert "A trial that went on from another is drawn on from it." in page.text
    assert "Slice of epochs" in page.pictures


def test_a_live_report_is_written_when_no_slot_waits_for_it_and_no_trial_for_long(directory, monkeypatch):
    def seen(ended: int, running: int) -> bool:
        """Whether the report is written when so many trials have ended, and so many run."""
        directory.report.unlink(missing_ok=True)
        live.look(Overview(rows=("a row",) * running, done=ended, failed=0, trials=9, best=None, seconds_left=None))
        return directory.report.is_file()

    trained(directory, 1, some_values(1), [[0.5]])
    live = LiveReport(directory, plan(), ["core 0", "core 1"])
    assert [seen(0, 2), seen(1, 1), seen(1, 2), seen(1, 2), seen(2, 2)] == [False, False, True, False, False]
    later = time.monotonic() + 1e6
    monkeypatch.setattr(search_report.time, "monotonic", lambda: later)
    assert [seen(1, 2), seen(2, 1), seen(2, 2)] == [False, False, True]


def test_a_hyperparameter_that_is_off_under_one_condition_and_a_range_under_another_is_drawn(directory):
    optimizer = Choice(name="optimizer", values=("sgd", "adam"))
    off = Choice(name="rate", values=(None, 0.5), when=Condition(name="optimizer", values=("sgd",)))
    space = (optimizer, off, Float(name="rate", low=0.1, high=0.9, when=Condition(name="optimizer", values=("adam",))))
    for number, rate in enumerate((None, 0.5, None), start=1):
        trained(directory, number, {"optimizer": "sgd", "rate": rate}, [(0.1 * number,)], space=space)
    trained(directory, 4, {"optimizer": "adam", "rate": 0.7}, [(0.3,)], space=space)
    assert any({"none", "0.1", "0.9"} <= set(texts(one)) for one in page_of(directory, plan(space)).pictures.values())
