from pipelines.doctor.tuning import candidates, starting_at, tune


def test_each_option_is_tried_with_the_best_of_those_before_and_the_candidates_take_turns():
    asked = []

    def rate(options):
        asked.append((options["a"], options["b"]))
        return {1: 100, 2: 130}[options["a"]] + (50 if options == {"a": 2, "b": 8} else 0)

    tuned = tune({"a": [1, 2], "b": [4, 8]}, rate, rounds=2)
    assert tuned.chosen == {"a": 2, "b": 8}
    assert asked == [(1, 4), (2, 4), (1, 4), (2, 4), (2, 4), (2, 8), (2, 4), (2, 8)]
    assert tuned.best == {"a": {1: 100, 2: 130}, "b": {4: 130, 8: 180}}


def test_the_best_of_several_counts_and_what_may_be_noise_changes_nothing():
    def chosen(*rates):
        given = iter(rates)
        return tune({"a": [1, 2], "b": [7]}, lambda options: next(given), rounds=2).chosen

    assert chosen(50, 60, 100, 120) == {"a": 2, "b": 7}
    assert chosen(50, 60, 100, 101) == {"a": 1, "b": 7}
    assert chosen(50, 200, 100, 90) == {"a": 1, "b": 7}


def test_only_options_that_there_are_get_tried_first_what_the_recipe_says():
    options = {"intra_op_threads": None, "prefetch": 8, "interleave": 16, "epochs": 3}
    values = starting_at(candidates(4, shards=1), options)
    assert values == {"intra_op_threads": [4, 2, 1], "prefetch": [8, 2, 1]}
    assert starting_at(candidates(4, shards=5), options)["interleave"] == [16, 4, 1]
