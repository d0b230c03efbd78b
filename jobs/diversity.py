"""Which of a day's instructions a budget goes to: equal ones, and ones that are alike.

Likeness is the Jaccard similarity of the sets of word 3-grams; a shorter text is one gram of all
its words. The choice is by maximal marginal relevance (Carbonell and Goldstein, 1998).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import sparse

WORDS = 3


def normalised(text: str) -> str:
    """A text as it is compared: without case, runs of white space and a closing full stop."""
    return " ".join(text.casefold().split()).rstrip(". ")


def grams(text: str) -> set[str]:
    """The word 3-grams of a text; all of its words where they are fewer."""
    words = normalised(text).split()
    return {" ".join(words[i : i + WORDS]) for i in range(max(1, len(words) - WORDS + 1))}


def diverse(texts: Sequence[str], scores: Sequence[float], budget: int, weight: float) -> list[int]:
    """Places of `budget` texts, in the order in which they are taken; ties go to the first.

    The next one has the greatest (1 - weight) * score - weight * (its similarity to the most alike
    of those taken). Weight 0 is by score, 1 by being unlike alone.
    """
    places: dict[str, int] = {}
    held = [[places.setdefault(g, len(places)) for g in sorted(grams(t))] for t in texts]
    sizes = np.array([len(h) for h in held])
    ends = np.concatenate([[0], np.cumsum(sizes)])
    flat = np.concatenate([np.array(h, np.int64) for h in held])
    with_gram = sparse.csr_array(
        (np.ones(len(flat), np.int32), flat, ends), (len(texts), len(places))
    ).T.tocsr()
    worth, nearest = (1 - weight) * np.array(scores), np.zeros(len(texts))
    taken: list[int] = []
    for _ in range(min(budget, len(texts))):
        value = worth - weight * nearest
        value[taken] = -np.inf
        best = int(value.argmax())
        taken.append(best)
        shared = np.bincount(with_gram[held[best]].indices, minlength=len(texts))
        nearest = np.maximum(nearest, shared / (sizes + sizes[best] - shared))
    return taken
