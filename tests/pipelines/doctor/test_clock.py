import tensorflow as tf

from pipelines.doctor import clock


def test_a_dataset_is_drained_without_tf_datas_tuner_and_every_call_goes_on_where_the_last_one_ended(monkeypatch):
    given, seen = [], []
    monkeypatch.setattr(clock, "iter", lambda dataset: given.append(dataset.options()) or iter(dataset), raising=False)
    elements = tf.data.Dataset.range(2**62).map(
        lambda i: tf.numpy_function(lambda n: seen.append(n) or n, [i], tf.int64)
    )
    found = clock.cost_of_element(elements, seconds=0.05, warm_up=3)
    assert [options.autotune.enabled for options in given] == [False]
    assert seen == list(range(len(seen))) and len(seen) > 3 and found.wall > 0
