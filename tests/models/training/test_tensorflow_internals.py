"""Names the private parts of TensorFlow that a new version has moved."""

import inspect

import pytest
from tensorflow.core.protobuf import config_pb2
from tensorflow.python.eager.context import Context

from models.training import tensorflow_internals


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        (
            "configure_coordination_service",
            [
                "service_type",
                "service_leader",
                "coordinated_jobs",
                "cluster_register_timeout_in_ms",
                "heartbeat_timeout_in_ms",
            ],
        ),
        ("abort_collective_ops", ["code", "message"]),
    ],
)
def test_tensorflows_context_has_the_method(name, arguments):
    assert set(arguments) <= set(inspect.signature(getattr(Context, name)).parameters)


def test_a_cluster_waits_as_long_as_it_is_told(monkeypatch):
    fresh = Context()
    monkeypatch.setattr(tensorflow_internals.context, "context", lambda: fresh)
    tensorflow_internals.configure_coordination(3, register=60.0, silence=100.0)
    asked = fresh.config.experimental.coordination_config
    assert isinstance(fresh.config, config_pb2.ConfigProto)
    assert (asked.cluster_register_timeout_in_ms, asked.heartbeat_timeout_in_ms) == (60_000, 100_000)
    assert [(job.name, job.num_tasks) for job in asked.coordinated_job_list] == [("worker", 3)]
