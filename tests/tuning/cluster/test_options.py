import pytest

from base.errors import InputError
from tuning.cluster.options import ClusterOptions, address_of


@pytest.mark.parametrize(
    ("text", "host", "port", "is_loopback"),
    [
        ("8000", "127.0.0.1", 8000, True),
        (":8000", "127.0.0.1", 8000, True),
        ("0.0.0.0:8000", "0.0.0.0", 8000, False),
        ("[::1]:8000", "::1", 8000, True),
        ("machine-1:65535", "machine-1", 65535, False),
    ],
)
def test_a_chief_listens_on_loopback_unless_a_host_is_named(text, host, port, is_loopback):
    address = address_of(text, "--chief", host="127.0.0.1")
    assert (address.host, address.port, address.is_loopback) == (host, port, is_loopback)


@pytest.mark.parametrize(
    "text",
    ["", "host", "host:", "host:0", "host:65536", ":8000", "8000", "a b:1", "::1:8000"]
    + ["a..b:8000", f"{'a' * 64}:8000", ".a:1", "\ud800:1", "a\0:1"],
    ids=ascii,
)
def test_what_is_no_address_is_refused(text):
    with pytest.raises(InputError, match=r"Expected --worker-of host:port, .*Received: address="):
        ClusterOptions(worker_of=text)


def test_how_long_a_chief_waits_for_workers_is_bounded():
    for seconds in (0, 0.5, 1e9, float("nan")):
        with pytest.raises(InputError, match="Expected --wait-for-workers from 1 to 604800. Received:"):
            ClusterOptions(chief="8000", wait_for_workers=seconds)


def test_a_command_is_a_chief_or_a_worker():
    with pytest.raises(InputError, match="Expected --chief or --worker-of"):
        ClusterOptions(chief="8000", worker_of="machine:8000")
