from tuning.processes.gpus import Gpu, least_in

LISTING = "0, GPU-a1b2, 81559, 9.0\n1, GPU-c3d4, 16384, 7.5\n2, GPU-e5f6, 40960, 10.0\n"


def test_of_several_gpus_the_least_memory_and_capability_count():
    assert least_in(LISTING, ["0"]) == Gpu(81559 * 2**20, "9.0")
    assert least_in(LISTING, ["2", "0"]) == Gpu(40960 * 2**20, "9.0")  # 10 is more than 9
    assert least_in(LISTING, ["GPU-a1", "GPU-c3d4"]) == Gpu(16384 * 2**20, "7.5")


def test_what_is_not_listed_or_not_known_has_no_limit():
    assert least_in(LISTING, ["MIG-7"]) is None
    assert least_in("0, GPU-a1b2, [N/A], 9.0\n", ["0"]) is None
    assert least_in("No devices were found\n", ["0"]) is None
    assert least_in(LISTING, []) is None
