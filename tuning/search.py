"""The search: the oracle proposes, a process trains, the result is recorded and told to the oracle."""

from collections.abc import Iterator, Sequence

from tuning import parameters, space
from tuning.oracle import Oracle
from tuning.oracle_options import OracleOptions
from tuning.plan import SearchPlan
from tuning.proposal import Proposal
from tuning.search_directory import SearchDirectory
from tuning.trial import TrialResult, read_result, run_trial


def search(
    plan: SearchPlan, directory: SearchDirectory, train_command: Sequence[str], lock: int
) -> Iterator[TrialResult]:
    """Yields the result of each trial, in their order.

    A search that was interrupted goes on: its oracle proposes the same combinations again, and the trials that have a
    result are not repeated.

    Args:
        plan: What to search.
        directory: Where to, locked.
        train_command: How the train command is called, without its options: `[python, ".../train.py"]`.
        lock: The directory's lock. A trial holds it too, so that no second one starts beside it in the same folder,
            even when this process was killed.
    """
    oracle = Oracle(_as_parameters(plan.space), OracleOptions(trials=plan.trials), seed=plan.seed)
    while isinstance(proposal := oracle.propose(), Proposal):
        number, values = proposal.number, proposal.values
        folder = directory.trial(number)
        result = read_result(folder)
        if result is None:
            result = run_trial(folder, number, values, plan.trial_recipe(values), train_command, keep_open=[lock])
        oracle.tell(number, result.val_loss, result.reason)
        yield result


def _as_parameters(old: space.Space) -> parameters.Space:
    result: list[parameters.Parameter] = []
    for parameter in old:
        when = parameter.when and parameters.Condition(name=parameter.when.name, values=parameter.when.values)
        if isinstance(parameter, space.Choice):
            result.append(parameters.Choice(name=parameter.name, values=parameter.values, when=when))
        else:
            low, high = parameter.low, parameter.high
            result.append(parameters.Float(name=parameter.name, low=low, high=high, log=True, when=when))
    return tuple(result)
