import socket

import pytest

from base.errors import InputError
from tuning.cluster.client import ChiefClient, require_same
from tuning.cluster.options import Address


def test_a_chief_of_another_search_is_refused_with_the_differences():
    mine = {"objective": "val_loss", "searched": ["blocks: 1, 2"], "betas": (0.9, 0.99), "seed": 0, "data": "/a"}
    require_same(mine, {**mine, "betas": [0.9, 0.99], "data": "/b"}, {"data"})
    with pytest.raises(InputError, match="Differing: objective 'val_accuracy' there, 'val_loss' here; seed 1 there, 0"):
        require_same(mine, {**mine, "betas": [0.9, 0.99], "seed": 1, "objective": "val_accuracy"}, {"data"})


def test_a_chief_that_does_not_answer_is_refused():
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        chief = ChiefClient(Address(host="127.0.0.1", port=silent.getsockname()[1]))
        with pytest.raises(InputError, match="Expected --worker-of to name a chief that can be reached within 0.5 s"):
            chief.about(0.5)
