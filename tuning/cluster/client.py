"""What a worker asks a chief, over gRPC, and whether both search the same. See `tuning/cluster/server.py`."""

import json
from collections.abc import Collection, Mapping
from typing import Any

import grpc

from base.errors import input_error, require
from tuning.cluster.options import Address
from tuning.cluster.wire import LARGEST, SEARCH, SERVICE, STUBS, Status

_ANSWER_SECONDS = 20.0  # that the chief has for an answer: an oracle may think for some
_CHANNEL = [
    ("grpc.enable_http_proxy", 0),
    ("grpc.max_receive_message_length", LARGEST),
    ("grpc.initial_reconnect_backoff_ms", 500),
    ("grpc.max_reconnect_backoff_ms", 5000),
]


class ChiefClient:
    """The chief, as its service answers.

    Args:
        address: Where it listens.
    """

    def __init__(self, address: Address) -> None:
        self.address = address
        self._channel = grpc.insecure_channel(str(address), options=_CHANNEL)
        self._stub = STUBS.OracleStub(self._channel)

    def close(self) -> None:
        """Ends all calls."""
        self._channel.close()

    def about(self, seconds: float) -> dict[str, Any]:
        """What it says of its search: a name for it, after how many seconds it takes a worker for lost, the identity.

        Args:
            seconds: To wait for it.

        Raises:
            InputError: It can't be reached, or it is not the chief of a `tune.py`.
        """
        try:
            said = self._stub.GetSpace(SERVICE.GetSpaceRequest(), timeout=seconds, wait_for_ready=True)
            texts = [one.value.string_value for one in said.hyperparameters.space.fixed_space if one.name == SEARCH]
            return _about(json.loads(texts[0]))
        except grpc.RpcError as error:
            raise input_error(
                f"Expected --worker-of to name a chief that can be reached within {seconds:g} s",
                address=str(self.address),
                error=error.code().name,
                do="Start scripts/tune.py --chief there first.",
            ) from None
        except (IndexError, ValueError, TypeError, KeyError):
            raise input_error("Expected --worker-of to name a tune.py --chief", address=str(self.address)) from None

    def ask(self, name: str) -> Any:
        """KerasTuner's trial for a worker's slot."""
        request = SERVICE.CreateTrialRequest(tuner_id=name)
        return self._stub.CreateTrial(request, timeout=_ANSWER_SECONDS).trial

    def is_held(self, trial_id: str) -> bool:
        """Says that a trial goes on; returns whether it is still this worker's."""
        request = SERVICE.GetTrialRequest(trial_id=trial_id)
        return self._stub.GetTrial(request, timeout=_ANSWER_SECONDS).trial.status == Status.RUNNING

    def end(self, trial: Any) -> Any:
        """Says how a trial ended."""
        return self._stub.EndTrial(SERVICE.EndTrialRequest(trial=trial), timeout=_ANSWER_SECONDS)


def require_same(mine: Mapping[str, Any], theirs: Mapping[str, Any], neutral: Collection[str]) -> None:
    """Refuses a chief of another search.

    Args:
        mine: The identity of the search that this command asks for.
        theirs: The chief's.
        neutral: Names of options that may differ from machine to machine.

    Raises:
        InputError: With the differences.
    """
    mine = json.loads(json.dumps(mine))
    names = [name for name in {**theirs, **mine} if name not in neutral and mine.get(name) != theirs.get(name)]
    shown = "; ".join(f"{name} {theirs.get(name)!r:.500} there, {mine.get(name)!r:.500} here" for name in names)
    do = "Give this command the chief's options."
    require(not names, f"Expected a chief of this command's own search. Differing: {shown}", do=do)


def _about(said: Mapping[str, Any]) -> dict[str, Any]:
    name, seconds, identity = str(said["search"])[:100], float(said["silent_seconds"]), dict(said["identity"])
    if not 1 <= seconds <= 3600:
        raise ValueError("no heart beats so")
    return {"search": name, "silent_seconds": seconds, "identity": identity}
