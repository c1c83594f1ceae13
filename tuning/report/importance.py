"""How much each hyperparameter matters: functional ANOVA of a random forest.

Hutter, Hoos, Leyton-Brown: An Efficient Approach for Assessing Hyperparameter Importance, ICML 2014. A forest learns
the objective from the trials; how much of its variance over the whole space comes from one hyperparameter, the others
averaged out, can be read off its trees exactly, since a tree is constant on boxes.
"""

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from sklearn.tree import DecisionTreeRegressor

LEAST_TRIALS = 12
TREES = 128
# Of forests on random scores (12 to 60 trials of 3 to 18 hyperparameters, 340 in all) 1 in 20 at the most had more.
LEAST_R2 = 0.2


@dataclasses.dataclass(frozen=True, kw_only=True)
class Importance:
    """What a forest says.

    Attributes:
        shares: Of the variance, name -> 0 to 1, the greatest first; what they lack to 1 is of hyperparameters together.
        r2: How well the forest predicts trials that it has not seen (out of bag): 1 perfectly, 0 or less no better than
            the mean.
        trials: It has learnt from.
    """

    shares: dict[str, float]
    r2: float
    trials: int

    @property
    def is_noise(self) -> bool:
        """Whether the forest predicts no better than one of random scores may: then the shares say nothing."""
        return self.r2 < LEAST_R2

    @property
    def together(self) -> float:
        """The share that no hyperparameter has alone."""
        return max(0.0, 1 - sum(self.shares.values()))


def importance(names: Sequence[str], positions: np.ndarray, scores: Sequence[float]) -> Importance | None:
    """The importance of each hyperparameter; same trials, same numbers.

    Scores outside (Tukey, Exploratory Data Analysis, 1977: 1.5 times the quartiles' distance beyond them) count as that
    limit: one trial that diverged would else be all the variance there is. Where a trial does not have a
    hyperparameter, its median stands, so that the difference goes to the one that it depends on.

    Args:
        names: Of d hyperparameters.
        positions: float `[n, d]`, 0 to 1 on the hyperparameter's axis (`tuning.space.axes`), where every stretch is
            equally likely; NaN where a trial does not have it.
        scores: n finite numbers.

    Returns:
        None with less than `LEAST_TRIALS` trials, or where all scores are equal.
    """
    if len(scores) < LEAST_TRIALS or len(set(scores)) == 1:
        return None
    from sklearn.ensemble import RandomForestRegressor

    filled = np.where(np.isnan(positions), _medians(positions), positions)
    forest = RandomForestRegressor(TREES, oob_score=True, random_state=0)
    forest.fit(filled, _within_fences(scores))
    of_trees = [shares for tree in forest.estimators_ if (shares := shares_of_tree(tree, len(names))) is not None]
    means = np.mean(of_trees, axis=0) if of_trees else np.zeros(len(names))
    order = sorted(range(len(names)), key=lambda place: -means[place])
    return Importance(
        shares={names[place]: float(means[place]) for place in order}, r2=float(forest.oob_score_), trials=len(scores)
    )


def shares_of_tree(tree: "DecisionTreeRegressor", count: int) -> np.ndarray | None:
    """The share of each of d inputs in a tree's variance over the unit cube, float `[d]`; None: it has none."""
    low, high, value = _leaves(tree, count)
    width = high - low  # [leaves, d]
    volume = width.prod(axis=1)
    mean = value @ volume
    whole = (value - mean) ** 2 @ volume
    if whole <= 1e-12:
        return None
    alone = np.zeros(count)
    for place in range(count):
        bounds = np.unique(np.concatenate([low[:, place], high[:, place]]))
        middle = (bounds[:-1] + bounds[1:]) / 2
        inside = (low[:, place, None] < middle) & (middle < high[:, place, None])  # [leaves, stretches]
        # The tree's mean where this hyperparameter is in a stretch: each leaf counts as its size in all other ones.
        marginal = (value * volume / width[:, place]) @ inside
        alone[place] = (marginal - mean) ** 2 @ np.diff(bounds)
    return alone / whole


def _within_fences(scores: Sequence[float]) -> np.ndarray:
    first, third = np.percentile(scores, [25, 75])
    step = 1.5 * (third - first)
    return np.clip(scores, first - step, third + step) if step else np.asarray(scores)


def _medians(positions: np.ndarray) -> np.ndarray:
    """float `[d]`, of those that have it; 0.5 where none has."""
    return np.array([np.median(there) if (there := column[~np.isnan(column)]).size else 0.5 for column in positions.T])


def _leaves(tree: "DecisionTreeRegressor", count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The boxes on which a tree is constant: lower and upper bounds, float `[leaves, d]`, and values `[leaves]`."""
    nodes = tree.tree_
    boxes: list[tuple[np.ndarray, np.ndarray, float]] = []
    open_nodes = [(0, np.zeros(count), np.ones(count))]
    while open_nodes:
        node, low, high = open_nodes.pop()
        if nodes.children_left[node] == nodes.children_right[node]:
            boxes.append((low, high, nodes.value[node].item()))
            continue
        place, threshold = nodes.feature[node], nodes.threshold[node]
        below, above = high.copy(), low.copy()
        below[place] = above[place] = threshold
        open_nodes += [(nodes.children_left[node], low, below), (nodes.children_right[node], above, high)]
    low, high, value = zip(*boxes, strict=True)
    return np.array(low), np.array(high), np.array(value)
