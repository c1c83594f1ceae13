from pipelines.service.arrivals import Arrivals


def test_what_comes_in_any_order_is_not_lost():
    arrivals = Arrivals(100)
    arrivals.add([103, 100, 101, 104, 102, *range(105, 300)])
    assert arrivals.expected == 200 and arrivals.lost() == arrivals.lost(at_the_end=True) == 0


def test_a_batch_is_lost_once_it_is_four_times_as_late_as_any_that_came():
    arrivals = Arrivals()
    arrivals.add([0, *range(2, 65)])
    assert arrivals.lost() == 0  # 63 steps late, and nothing known yet
    arrivals.add([65, 66])
    assert arrivals.lost() == 1 and arrivals.expected == 67
    arrivals.add([1])  # after all, 65 late: from now on 260 are fair
    arrivals.add([68, *range(70, 328)])
    assert arrivals.lost() == 0 and arrivals.lost(at_the_end=True) == 2
    arrivals.add([328])
    assert arrivals.lost() == 1


def test_one_worker_that_took_long_does_not_hide_losses_for_ever():
    arrivals = Arrivals()
    arrivals.add([*range(1, 5000), 0, *range(5001, 6000)])
    assert arrivals.lost() == 0
    arrivals.add([6000, 6001])
    assert arrivals.lost() == arrivals.lost(at_the_end=True) == 1
