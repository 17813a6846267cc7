"""How good a network is at telling what comes next, measured between epochs."""

from __future__ import annotations

import numpy as np
import torch

from personalens.networks.session_network import SessionNetwork, seen_before
from personalens.training.batches import Sequences, Windows, bucketed_batches, make_batch

HELD_OUT_EVENTS, HELD_OUT_HISTORIES = 2, 1000
_BATCH_SIZE = 128


def newest_events(
    offsets: np.ndarray,
    rng: np.random.Generator,
    *,
    events: int = HELD_OUT_EVENTS,
    histories: int = HELD_OUT_HISTORIES,
) -> np.ndarray:
    """Choose what to hold out: the newest events of some histories.

    Parameters
    ----------
    offsets
        Borders of the histories.
    rng
        Of the choice of histories, where there are many.
    events
        How many of a history at most, and at most a third of it.
    histories
        From how many histories at most.

    Returns
    -------
    numpy.ndarray
        (rows,) booleans.

    Examples
    --------
    Histories of 6, 2 and 3 events:

    >>> rng = np.random.default_rng(0)
    >>> newest_events(np.array([0, 6, 8, 11]), rng, events=2).nonzero()[0].tolist()
    [4, 5, 10]
    """
    counts = np.diff(offsets)
    held = np.minimum(events, counts // 3)
    eligible = np.flatnonzero(held)
    chosen = rng.permutation(eligible)[:histories]
    from_end = np.repeat(offsets[1:], counts) - 1 - np.arange(offsets[-1])
    of_chosen = np.zeros(len(counts), np.int64)
    of_chosen[chosen] = held[chosen]
    return from_end < np.repeat(of_chosen, counts)


class NextItemValidation:
    """NDCG@10 of the next item, all items ranked, at every row of the windows that has a target.

    Parameters
    ----------
    sequences, windows
        Rows to read; a window begins where the network is to begin knowing a history.
    """

    def __init__(self, sequences: Sequences, windows: Windows):
        self._sequences, self._windows = sequences, windows

    def __call__(self, network: SessionNetwork) -> float:
        """Return the mean over all targets, each with its weight."""
        network.eval()
        gains, weights = [], []
        with torch.inference_mode():
            for chosen in bucketed_batches(self._windows.lengths, _BATCH_SIZE):
                batch = make_batch(self._sequences, self._windows, chosen).to(network.device)
                vectors = network(batch.events, batch.positions)
                scores = network.scores(
                    vectors,
                    seen_before(batch.events.items, batch.positions, network.catalogue_size),
                )
                own = scores.gather(1, batch.targets[:, None])
                ranks = (scores > own).sum(1)
                gains.append(torch.where(ranks < 10, 1.0 / torch.log2(ranks + 2.0), 0.0))
                weights.append(
                    torch.ones_like(gains[-1]) if batch.weights is None else batch.weights
                )
        gained, weight = torch.cat(gains), torch.cat(weights)
        return float((gained * weight).sum() / weight.sum().clamp_min(torch.finfo().tiny))
