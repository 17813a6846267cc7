"""Who takes part in the accuracy benchmark, in which environment, and how it is tuned.

Every grid is gone through on the protocol's validation round and the setting with the best NDCG@10
is trained again on each round. A contestant without a grid has the setting that is given, and the
reason stands beside it.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

Setting = dict[str, Any]
KEEP_MEMORY = {
    "MALLOC_MMAP_THRESHOLD_": str(2**32),
    "MALLOC_TRIM_THRESHOLD_": str(2**33),
    "MALLOC_TOP_PAD_": str(2**28),
}
"""Keeps glibc from giving big tensors back after each training step, for every contestant: SASRec's
output layer is 1.6 times as fast with it."""


@dataclass(frozen=True)
class Contestant:
    """One row of the table."""

    name: str
    """In the table."""
    module: str
    """Which runs it, below ``benchmarks``."""
    model: str
    """The name by which that module knows it."""
    environment: str = ""
    """Folder under ``.venv-bench``; empty for our own."""
    grid: tuple[Setting, ...] = ({},)
    """Settings to choose among on validation."""
    is_random: bool = False
    """Whether another seed gives another model."""
    knows_strangers: bool = True
    """Whether it can be asked about users it has not trained on."""
    is_slow: bool = False
    """Whether it is trained for one seed or round only, where the others have several."""
    seconds_of: str = ""
    """A contestant whose seconds of fitting it is given, as the setting ``seconds``."""


def settings(**values: list[Any]) -> tuple[Setting, ...]:
    """Return every combination."""
    return tuple(
        dict(zip(values, each, strict=True)) for each in itertools.product(*values.values())
    )


TRANSITION_GRID = tuple(
    {**rest, "last": last, "recency": recency}
    for rest in settings(window=[10, 20, 40], decay=[0.9, 0.95], popularity_penalty=[0.0, 0.3, 0.5])
    for last, recency in [(1, 1.0), (5, 0.8), (20, 0.8), (20, 0.9)]
)
NEIGHBOUR_GRID = settings(K=[10, 20, 50, 100, 200])
ALS_GRID = settings(
    factors=[32, 64], regularization=[0.1, 10.0, 30.0, 100.0], alpha=[1.0, 5.0], iterations=[15]
)
BPR_GRID = settings(
    factors=[64], learning_rate=[0.05], regularization=[0.01, 0.03, 0.1], iterations=[100, 300]
)
LENSKIT_NEIGHBOUR_GRID = settings(max_nbrs=[10, 20, 50, 100, 200])
LENSKIT_MF_GRID = settings(
    embedding_size=[32, 64], regularization=[0.1, 1.0, 10.0], weight=[5.0, 40.0]
)

_OWN, _IMPLICIT, _LENSKIT = "own_models", "peers.implicit_models", "peers.lenskit_models"
_SASREC, _GRU4REC = "peers.rectools_sasrec", "peers.recbole_gru4rec"

PEERS = [
    Contestant("popularity", _OWN, "popularity"),
    Contestant("EASE", _OWN, "EASE", grid=settings(penalty=[30.0, 100.0, 300.0, 1000.0])),
    Contestant("windowed transition counts", _OWN, "transitions", grid=TRANSITION_GRID),
    Contestant("implicit item-kNN, cosine", _IMPLICIT, "cosine", "peers", NEIGHBOUR_GRID),
    Contestant("implicit item-kNN, BM25", _IMPLICIT, "BM25", "peers", NEIGHBOUR_GRID),
    Contestant("implicit item-kNN, TF-IDF", _IMPLICIT, "TF-IDF", "peers", NEIGHBOUR_GRID),
    Contestant("implicit ALS", _IMPLICIT, "ALS", "peers", ALS_GRID, is_random=True),
    Contestant(
        "implicit BPR", _IMPLICIT, "BPR", "peers", BPR_GRID, is_random=True, knows_strangers=False
    ),
    Contestant("LensKit item-kNN", _LENSKIT, "ItemKNN", "peers", LENSKIT_NEIGHBOUR_GRID),
    Contestant(
        "LensKit implicit MF", _LENSKIT, "ImplicitMF", "peers", LENSKIT_MF_GRID, is_random=True
    ),
    # One setting, the better of two in an earlier comparison: a grid would take hours.
    Contestant(
        "RecTools SASRec, to its end", _SASREC, "SASRec", "peers", is_random=True, is_slow=True
    ),
    Contestant(
        "RecTools SASRec, the time of aws-hrnn",
        _SASREC,
        "SASRec",
        "peers",
        is_random=True,
        is_slow=True,
        seconds_of="aws-hrnn",
    ),
    Contestant("RecBole GRU4Rec", _GRU4REC, "GRU4Rec", "recbole", is_random=True, is_slow=True),
]


SLOW_TRAINING = {"max_epochs": 16, "learning_rate": 0.005, "patience": 4}
"""Perhaps better lists, for twice the time or more: what PERSONALENS_TRAINING_MAX_EPOCHS and its
like set. One of two settings that were tried; the defaults are for people who wait."""


def recipe(name: str) -> Contestant:
    """Return one of our recipes with the service's defaults: nothing is tuned here.

    "aws-hrnn, slow training" is aws-hrnn with :data:`SLOW_TRAINING`.
    """
    model, comma, _ = name.partition(", slow training")
    return Contestant(
        name,
        _OWN,
        model,
        grid=(SLOW_TRAINING if comma else {},),
        is_random=model not in COUNTED,
        is_slow=model in SLOW,
    )


COUNTED = {
    "aws-popularity-count",
    "aws-sims",
    "aws-similar-items",
    "aws-trending-now",
    "aws-semantic-similarity",
}
"""Recipes that count and solve; every other one draws numbers and is repeated with other seeds."""

SLOW = {
    "aws-deepfm",
    "aws-ffnn",
    "aws-hrnn-coldstart",
    "aws-hrnn-metadata",
    "aws-user-personalization-v2",
}
"""Recipes that take minutes and are not the best: one training, as of the slow peers."""
