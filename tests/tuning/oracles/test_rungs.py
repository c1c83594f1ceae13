from tuning.oracles.rungs import brackets, most_trials


def test_the_table_of_81_epochs_is_the_published_one():
    """Li et al. 2018, table 1; where a bracket's end is a fraction KerasTuner rounds up, they down."""
    published = [[(81, 1), (27, 3), (9, 9), (3, 27), (1, 81)], [(27, 3), (9, 9), (3, 27), (1, 81)]]
    table = brackets(81, 3)
    assert table[0] == published[0]
    assert [epochs for _, epochs in table[1]] == [epochs for _, epochs in published[1]]
    assert table[-1] == [(5, 81)]


def test_the_most_trials_are_those_of_the_table_as_far_as_there_are_combinations():
    assert most_trials(9, 3) == 9 + 3 + 1 + 5 + 2 + 3
    assert most_trials(9, 3, combinations=1000) == 23
    assert most_trials(9, 3, iterations=2) == 46
    assert most_trials(1, 3, combinations=3) == 1
    assert most_trials(27, 3, combinations=27) == 40 + 18 + 8 + 4
