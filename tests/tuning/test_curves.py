from tuning.curves import best_values, curves
from tuning.objective import objective_of


def rows(first: int, *values: float | None) -> list[dict]:
    return [{"epoch": epoch, "val_loss": value} for epoch, value in enumerate(values, start=first)]


def test_a_trial_that_went_on_is_drawn_on_from_its_parents():
    found = curves(
        {1: [rows(1, 0.9, 0.8)], 2: [rows(3, 0.5)], 3: [rows(4, 0.4, 0.3)], 4: []}, {2: 1, 3: 2, 4: 1}, "val_loss"
    )
    assert found == {
        1: [(1, 0.9), (2, 0.8)],
        2: [(1, 0.9), (2, 0.8), (3, 0.5)],
        3: [(1, 0.9), (2, 0.8), (3, 0.5), (4, 0.4), (5, 0.3)],
        4: [],
    }


def test_an_epoch_that_parent_and_child_both_have_is_the_childs():
    found = curves({1: [rows(1, 0.9, 0.8, 0.7)], 2: [rows(3, 0.5)]}, {2: 1}, "val_loss")
    assert found[2] == [(1, 0.9), (2, 0.8), (3, 0.5)]


def test_several_executions_are_drawn_as_their_mean_where_all_have_a_number():
    found = curves({1: [rows(1, 1.0, 0.5, None, 0.25), rows(1, 0.5, 0.25, 0.25)]}, {}, "val_loss")
    assert found[1] == [(1, 0.75), (2, 0.375)]
    assert best_values([rows(1, 1.0, 0.5, None), rows(1, 0.25)], objective_of("val_loss")) == 0.375
    assert best_values([rows(1, 1.0), []], objective_of("val_loss")) is None
    assert best_values([], objective_of("val_loss")) is None
