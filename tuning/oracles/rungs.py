"""Hyperband's table: how many trials each rung has, of how many epochs. Free of TensorFlow and KerasTuner."""

import collections
import math

Bracket = list[tuple[int, int]]  # (trials, epochs) of each rung, the shortest trials first


def brackets(max_epochs: int, factor: int) -> list[Bracket]:
    """KerasTuner's table, the bracket of the shortest trials first.

    Example:
        >>> brackets(9, 3)
        [[(9, 1), (3, 3), (1, 9)], [(5, 3), (2, 9)], [(3, 9)]]
    """
    count, epochs = 0, float(max_epochs)
    while epochs >= 1:
        count, epochs = count + 1, epochs / factor
    last = math.ceil(1 + math.log(max_epochs, factor))
    return [
        [
            (math.ceil(last / (after + 1) * factor ** (after - rung)), math.ceil(max_epochs / factor ** (after - rung)))
            for rung in range(after + 1)
        ]
        for after in reversed(range(count))
    ]


def most_trials(max_epochs: int, factor: int, *, iterations: int = 1, combinations: int | None = None) -> int:
    """How many trials Hyperband proposes at most: those of one iteration without failures, just so many.

    Args:
        max_epochs: Of the last rungs.
        factor: One in so many goes on.
        iterations: How often it goes through all brackets.
        combinations: That the space has; None: without end. They are taken up as `hyperband.Hyperband` says.

    Example:
        >>> most_trials(9, 3), most_trials(9, 3, combinations=4)
        (23, 12)
    """
    table = brackets(max_epochs, factor)
    trained: dict[int, int] = collections.Counter()  # epochs -> combinations that were trained so long, at least
    seen = total = 0
    for bracket in table * iterations:
        whole, start = bracket[0]
        begun = whole
        if combinations is not None:
            begun = min(whole, combinations - max(trained[epochs] for _, epochs in table[0] if epochs >= start))
            new = min(begun, combinations - seen)
            seen += new
            trained.update({epochs: new for _, epochs in table[0] if epochs < start})
        for trials, epochs in bracket:
            size = -(-begun * trials // whole)
            trained[epochs] += size
            total += size
    return total
