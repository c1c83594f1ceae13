"""Searches without trainings: an oracle that is told scores of values."""

import random
from collections.abc import Callable

from tuning.oracles.options import OracleOptions
from tuning.oracles.oracle import Oracle
from tuning.oracles.proposal import Proposal, Wait
from tuning.space.parameters import Space

Score = Callable[[dict], float | None]
Trial = tuple[Proposal, float | None]


def new_oracle(algorithm: str, space: Space, *, seed: int = 0, **options) -> Oracle:
    if algorithm == "hyperband":
        options.setdefault("max_epochs", 9)
    return Oracle(space, OracleOptions(algorithm=algorithm, **options), seed=seed)


def searched(oracle: Oracle, score: Score, *, parallel: int = 1) -> list[Trial]:
    """Runs a search whose trials end out of order; returns all of it in the order of the proposals."""
    choose, running, trials = random.Random(0), [], {}
    while True:
        answer = oracle.propose() if len(running) < parallel else Wait()
        if isinstance(answer, Proposal):
            assert answer.number <= 100
            running.append(answer)
            continue
        if not running:
            assert answer is None
            return [trials[number] for number in sorted(trials)]
        ended = running.pop(choose.randrange(len(running)))
        trials[ended.number] = ended, score(ended.values)
        oracle.tell(ended.number, score(ended.values), "it failed")
