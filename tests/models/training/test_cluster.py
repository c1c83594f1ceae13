import json
import socket

import pytest

from base.errors import InputError
from models.training.cluster import Cluster, find_cluster, require_free_port

TWO = {"cluster": {"worker": ["a:1", "b:2"]}, "task": {"type": "worker", "index": 1}}


def test_the_command_line_comes_before_tf_config():
    environment = {"TF_CONFIG": json.dumps(TWO)}
    assert find_cluster(None, None, environment) == Cluster(("a:1", "b:2"), 1)
    assert find_cluster("c:3, d:4", 0, environment) == Cluster(("c:3", "d:4"), 0)
    assert find_cluster(None, None, {}) is None
    assert Cluster(("a:1", "b:2"), 0).is_chief and not Cluster(("a:1", "b:2"), 1).is_chief


@pytest.mark.parametrize(
    ("workers", "index", "config", "named"),
    [
        (None, None, "{", ["TF_CONFIG", "JSONDecodeError"]),
        (None, None, "[]", ["TF_CONFIG"]),
        (None, None, json.dumps({**TWO, "task": {"type": "worker", "index": 2}}), ["TF_CONFIG", "2"]),
        (None, None, json.dumps({**TWO, "task": {"type": "ps", "index": 0}}), ["only workers", "ps"]),
        (None, None, json.dumps({"cluster": TWO["cluster"]}), ["task"]),
        ("a:1,b:2", None, "", ["--worker-index"]),
        ("a:1,b", 0, "", ["host:port", "b"]),
        ("a:1,a:1", 0, "", ["once"]),
        ("a:1,b:2", 2, "", ["--workers", "2"]),
    ],
)
def test_a_cluster_that_makes_no_sense_is_refused_in_one_line(workers, index, config, named):
    with pytest.raises(InputError) as error:
        find_cluster(workers, index, {"TF_CONFIG": config})
    assert all(text in str(error.value) for text in named), error.value
    assert "\n" not in str(error.value)


def test_a_port_that_is_taken_is_refused():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(InputError, match="listen"):
            require_free_port(address)
    require_free_port(address)
