"""Asking a dispatcher of tf.data service for its workers, in bounded time: TensorFlow's own client waits for ever."""

import time

import tensorflow as tf

from base.errors import input_error

_METHOD = "/tensorflow.data.DispatcherService/GetWorkers"
_BETWEEN_QUESTIONS = 0.5  # seconds


def workers_of(address: str, seconds: float) -> list[str]:
    """The workers that a dispatcher knows: host:port each.

    Args:
        address: grpc://host:port of the dispatcher.
        seconds: Within which it is to answer.

    Raises:
        InputError: It does not, or is something else.
    """
    import grpc  # most trainings need none

    with grpc.insecure_channel(address.removeprefix("grpc://")) as channel:
        try:
            answer = channel.unary_unary(_METHOD)(b"", timeout=seconds, wait_for_ready=True)
        except grpc.RpcError as error:
            raise input_error(
                f"Expected a dispatcher of the data service that answers within {seconds:g} s at {address}",
                error=f"{error.code().name}: {' '.join((error.details() or '').split())[:200]}",
                do="Start one with scripts/data_service.py dispatcher.",
            ) from None
    # GetWorkersResponse, of which TensorFlow has no class in Python, holds in field 1 messages whose field 1 is an
    # address; so does a list of bytes within a list of bytes.
    return [
        tf.train.BytesList.FromString(worker).value[0].decode()
        for worker in tf.train.BytesList.FromString(answer).value
    ]


def require_workers(address: str, seconds: float) -> list[str]:
    """The same, once there is one.

    Raises:
        InputError: The dispatcher does not answer in time, or has no worker by then.
    """
    end = time.monotonic() + seconds
    while not (found := workers_of(address, max(_BETWEEN_QUESTIONS, end - time.monotonic()))):
        if time.monotonic() > end:
            raise input_error(
                f"Expected the dispatcher at {address} to have a worker within {seconds:g} s",
                workers=0,
                do=f"Start one with scripts/data_service.py worker --dispatcher {address}.",
            )
        time.sleep(_BETWEEN_QUESTIONS)
    return found
