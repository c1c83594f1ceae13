import io

import tensorflow as tf
from rich.console import Console

from models.training.feed import Feed
from models.training.waiting import WaitingVerdict


def verdict():
    output = io.StringIO()
    return WaitingVerdict(Console(file=output, width=40), "scripts/doctor.py --data d", "the disk"), output


def test_a_feed_that_is_slow_on_purpose_is_reported_once_in_one_line(task, make_trainer):
    feed = task.training(batch_size=30, replicas=1)
    slow = feed.dataset.map(
        lambda batch: {**batch, "image": tf.py_function(_slowly, [batch["image"]], tf.uint8)}, num_parallel_calls=1
    ).map(lambda batch: {**batch, "image": tf.ensure_shape(batch["image"], [30, 8, 8, 1])})
    callback, output = verdict()
    slow_feed = Feed(dataset=slow, examples=feed.examples, batch_size=30)
    history = make_trainer().fit(slow_feed, epochs=2, callbacks=[callback])
    assert min(history.history["waiting"]) > 0.1
    line = output.getvalue()
    assert line.startswith("input-bound: ") and line.count("\n") == 1
    assert line.endswith("likely for the disk; what to change says scripts/doctor.py --data d\n")
    assert f"{100 * history.history['waiting'][0]:.0f} % of the step" in line


def test_little_waiting_and_later_epochs_are_passed_over():
    callback, output = verdict()
    callback.on_epoch_end(0, {"waiting": 0.1})
    callback.on_epoch_end(1, {"waiting": 0.9})
    assert output.getvalue() == ""


def _slowly(image):
    import time

    time.sleep(0.1)
    return image
