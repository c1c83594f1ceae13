import pytest

from base.errors import InputError
from pipelines.reading.budget import Budget, available_memory, parse_bytes
from pipelines.reading.options import ReaderOptions


def test_bytes_are_read_as_people_write_them():
    written = {"2000": 2000, "2GB": 2 * 10**9, "1.5 GiB": 1_610_612_736, "64m": 64 * 10**6, 7: 7, "3Ki": 3072}
    assert {text: parse_bytes(text) for text in written} == written
    for text in ("", "much", "-1", "2XB", "GB"):
        with pytest.raises(InputError, match="memory_budget="):
            parse_bytes(text)


def machine(root, files):
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)
    return root


MEMORY = {"proc/meminfo": "MemTotal: 9000 kB\nMemAvailable: 8000 kB\n"}


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, 8000 * 1024),
        (
            {
                "proc/self/cgroup": "0::/a/b\n",
                "sys/fs/cgroup/a/b/memory.max": "max",
                "sys/fs/cgroup/a/b/memory.current": "5",
                "sys/fs/cgroup/a/memory.max": "3000000",
                "sys/fs/cgroup/a/memory.current": "2000000",
                "sys/fs/cgroup/a/memory.stat": "anon 1\ninactive_file 500000\n",
            },
            1_500_000,
        ),
        (
            {
                "proc/self/cgroup": "5:cpu:/x\n4:memory:/not/seen/from/within\n",
                "sys/fs/cgroup/memory/memory.limit_in_bytes": "1000000",
                "sys/fs/cgroup/memory/memory.usage_in_bytes": "400000",
            },
            600_000,
        ),
        (
            {
                "proc/self/cgroup": "4:memory:/\n",
                "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712",
                "sys/fs/cgroup/memory/memory.usage_in_bytes": "1",
            },
            8000 * 1024,
        ),
    ],
    ids=["no group", "version 2, the limit further up", "version 1, in a container", "version 1, no limit"],
)
def test_a_container_s_limit_counts_where_it_is_the_smaller_one(tmp_path, files, expected):
    assert available_memory(machine(tmp_path, {**MEMORY, **files})) == expected


def test_what_is_taken_leaves_less_and_a_share_is_taken_of_what_is_free():
    budget = Budget("1MB")
    budget.take(300_000)
    assert budget.left == 700_000 and budget.is_explicit
    free = available_memory()
    assert 0.4 * free < Budget().total < 0.8 * free


@pytest.mark.parametrize(
    "values",
    [{"memory_budget": "lots"}, {"memory_budget": 0}, {"shuffle_window": 0}, {"interleave": 0}, {"prefetch": 0}]
    + [{"sampling": "balanced", "cache": "none"}],
)
def test_bad_options_are_refused(values):
    with pytest.raises(InputError, match=next(iter(values))):
        ReaderOptions(**values)
