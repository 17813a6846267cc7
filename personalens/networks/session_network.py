"""A network over events: items, session features and context in, scores for all items out.

Ma, Narayanaswamy, Lin and Ding, "Temporal-Contextual Recommendation in Real-Time" (KDD 2020): what
a session is enters through the embedded inputs, so that one plain reader of a user's events, be it
a recurrence or a transformer, does the work of a hierarchy of networks.

In shapes, L is steps, B histories side by side, E the width of item vectors, H that of the
recurrent state.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from personalens.networks.gru import GRU

_EMBEDDING_SPREAD = 0.02
_PRODUCT_VALUES = 512
_MEAN_WEIGHT_AT_START = 0.1
_LEVELS = 256


class Events(NamedTuple):
    """What the network reads: items, the features of each event, and what is known of the request
    that follows it."""

    items: Tensor  # (L, B) int64; the catalogue's size stands for the start of a history
    features: Tensor  # (L, B, F) int64, numbered through over all features
    queries: Tensor  # (L, B, Q) int64, numbered through over all of theirs


class Seen(NamedTuple):
    """Which items had come up before each of n positions: at position p, those of window
    ``windows[p]`` up to step ``steps[p]``."""

    items: Tensor  # (B, L) int64
    counts: Tensor  # (B, L) bool: which of a history's items are the first of their kind
    windows: Tensor  # (n,)
    steps: Tensor  # (n,)

    def at(self, rows: slice | Tensor) -> tuple[Tensor, Tensor]:
        """Return items (m, S) and which of them were seen (m, S), at some of the positions."""
        windows, steps = self.windows[rows], self.steps[rows]
        items, counts = self.items, self.counts
        if not steps.is_cuda and len(steps):  # a GPU would wait to be asked
            latest = int(steps.max()) + 1
            items, counts = items[:, :latest], counts[:, :latest]
        place = torch.arange(items.shape[1], device=steps.device)
        seen = counts.index_select(0, windows).logical_and_(place <= steps[:, None])
        return items.index_select(0, windows), seen


def seen_before(items: Tensor, positions: Tensor, catalogue_size: int) -> Seen:
    """Return what had come up in a batch's item codes (L, B) at each of its positions (n,)."""
    history = items.t().contiguous()  # (B, L)
    order = history.argsort(dim=1, stable=True)
    in_order = history.gather(1, order)
    first = torch.ones_like(history, dtype=torch.bool)
    first[:, 1:] = in_order[:, 1:] != in_order[:, :-1]
    counts = torch.zeros_like(first).scatter_(1, order, first) & (history < catalogue_size)
    batch = items.shape[1]
    return Seen(history * counts, counts, positions % batch, positions // batch)


class Dropout(nn.Module):
    """Set a share of the values to zero while training, and scale up the others.

    The draws belong to one network, so that two can train side by side and repeat:
    ``torch.nn.Dropout`` draws from one generator for the whole process. Eight random bits for each
    value (one, where the rate is a half) also take a tenth of the time of ``bernoulli_`` on a CPU,
    where that was a quarter of a training step. So the rate is rounded to the nearest 1/256.
    (Srivastava et al., "Dropout: A Simple Way to Prevent Neural Networks from Overfitting", 2014.)
    """

    def __init__(self, rate: float, rng: np.random.Generator):
        super().__init__()
        if not 0.0 <= rate < 1.0:
            raise ValueError(f"rate is {rate}; it must be at least 0 and below 1")
        self._dropped = round(rate * _LEVELS)
        self._rng = rng

    def forward(self, values: Tensor) -> Tensor:
        """Return the values with some of them dropped; the same values when not training."""
        if not self.training or not self._dropped:
            return values
        if values.is_cuda:
            return values * self._draw_there(values)
        count = values.numel()
        if 2 * self._dropped == _LEVELS:
            bits = np.frombuffer(self._rng.bytes(-(-count // 8)), np.uint8)
            kept = np.unpackbits(bits)[:count]
        else:
            kept = np.frombuffer(self._rng.bytes(count), np.uint8) >= self._dropped
        mask = kept.astype(np.float32)
        mask *= _LEVELS / (_LEVELS - self._dropped)
        return values * torch.from_numpy(mask).view(values.shape).to(values)

    def _draw_there(self, values: Tensor) -> Tensor:
        """Draw on the GPU, from a seed of ours: its bits need not be sent."""
        generator = torch.Generator(values.device).manual_seed(int(self._rng.integers(2**63)))
        kept = 1.0 - self._dropped / _LEVELS
        return torch.empty_like(values).bernoulli_(kept, generator=generator).div_(kept)


# -- vectors of items and of features --------------------------------------------------------------


class Output(NamedTuple):
    """What a user's vector is compared with: the vectors and biases of k items."""

    table: Tensor  # (k, E)
    bias: Tensor  # (k,)


class FieldValues(NamedTuple):
    """Which values of which fields each of n items has, and with what weight they count."""

    codes: Tensor  # (n, M) int64, numbered through over all fields
    weights: Tensor  # (n, M) float32; 0 fills a row up


class ItemVectors(nn.Module):
    """A vector and a bias for each item: its own, plus those of its ``fields``, if it has any.

    Notes
    -----
    For item j with field values v of weights w::

        e(j) = own(j) + sum of w(v) f(v)        bias(j) = own bias(j) + sum of w(v) g(v)

    With a user's vector q, which may be a sum of vectors itself, e(j) . q + bias(j) adds up all
    products between the two sides' parts: a factorisation machine (Rendle, "Factorization
    Machines", ICDM 2010) between a history and the metadata of items.

    Withholding some items' own parts in training (Volkovs et al., "DropoutNet", NeurIPS 2017) made
    known and unknown items worse: the start values of the fields do that work already.
    """

    def __init__(
        self, items: int, width: int, *, fields: FieldValues | None = None, values: int = 0
    ):
        super().__init__()
        self.size, self.width = items, width
        self.own = nn.Embedding(items + 1, width)  # the last is the start of a history
        self.own_bias = nn.Parameter(torch.zeros(items))
        self._whole: Output | None = None  # while weights do not change
        self.has_fields = fields is not None
        if fields is not None:
            self.field = nn.Parameter(torch.zeros(values, width + 1))  # the bias comes last
            for name, part in zip(("codes", "weights"), fields, strict=True):
                start = torch.zeros_like(part[:1])  # the start of a history has no fields
                self.register_buffer(name, torch.cat([part, start]))

    def forward(self, codes: Tensor) -> Tensor:
        """Return (..., E): vectors of items (...), as inputs."""
        if not self.has_fields:
            return self.own(codes)
        items, places = torch.unique(codes, return_inverse=True)
        return functional.embedding(places, self.own(items) + self.of_fields(items)[:, :-1])

    def output(self, codes: Tensor | None = None) -> Output:
        """Return vectors and biases of all items, or of some: (k,) codes."""
        if codes is None:
            own, bias = self.own.weight[: self.size], self.own_bias
        else:
            own, bias = self.own.weight[codes], self.own_bias[codes]
        if not self.has_fields:
            return Output(own, bias)
        if codes is None and self._whole is not None:
            return self._whole
        sums = torch.cat([own, bias[:, None]], 1)
        sums = sums + self.of_fields(slice(self.size) if codes is None else codes)
        output = Output(sums[:, :-1], sums[:, -1])
        if codes is None and not (self.training or torch.is_grad_enabled()):
            self._whole = Output(*(part.contiguous() for part in output))
        return output

    def train(self, mode: bool = True) -> Self:
        """Begin or end training: sums that were kept are forgotten."""
        self._whole = None
        return super().train(mode)

    def of_fields(self, items: Tensor | slice) -> Tensor:
        """Return (k, E + 1): the sums of the field values of some items, the bias last."""
        return functional.embedding_bag(
            self.codes[items], self.field, mode="sum", per_sample_weights=self.weights[items]
        )


class FeatureVectors(nn.Module):
    """Sum the vectors of an event's feature values, which start at zero."""

    def __init__(self, values: int, width: int):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(values, width))

    def forward(self, codes: Tensor) -> Tensor:
        """Return (..., E) for codes (..., F)."""
        flat = codes.flatten(0, -2)  # (N, F)
        if len(self.weight) > _PRODUCT_VALUES:
            total = functional.embedding_bag(flat, self.weight, mode="sum")
        else:
            # The sum of a few rows of a small table, as a product with zeros and ones: its gradient
            # is a product too, where a look-up's gradient is a scatter for each feature.
            total = self.weight.new_zeros(len(flat), len(self.weight)).scatter_(1, flat, 1.0)
            total = total @ self.weight
        return total.view(*codes.shape[:-1], -1)


class QueryVectors(FeatureVectors):
    """The vectors of what is known of a request; in training some of it is withheld.

    ``withheld`` is the share of the rows in which nothing is known, and, of the others, the share
    of the features that are not, so that a request that says less, or nothing, is answered well
    too. The value that stands for "not known" is the first of each feature. The vectors are dropped
    in part, too: they are the same all through a history, and what is never dropped is learned by
    heart.
    """

    def __init__(
        self,
        first_values: Sequence[int],
        values: int,
        width: int,
        *,
        withheld: float,
        dropout: float = 0.0,
        rng: np.random.Generator,
    ):
        super().__init__(values, width)
        self.drop = Dropout(dropout, rng)
        first = torch.tensor(list(first_values), dtype=torch.long)
        self.register_buffer("_unknown", first, persistent=False)
        self._withheld, self._rng = withheld, rng

    def forward(self, codes: Tensor) -> Tensor:
        """Return (n, E) for codes (n, Q)."""
        if self.training and self._withheld:
            known = self._rng.random((len(codes), codes.shape[1] + 1)) >= self._withheld
            known = torch.from_numpy(known[:, 1:] & known[:, :1]).to(codes.device)
            codes = torch.where(known, codes, self._unknown)
        return self.drop(super().forward(codes))


# -- the reader of a history -----------------------------------------------------------------------


class RecentMeans(nn.Module):
    """Mix several running means of a sequence of vectors, each with a memory of its own length.

    With decay d the mean is m' = d m + (1 - d) x from m = 0: d = 0 is the last vector itself, and
    d = 0.95 looks back over some twenty of them. Without decays there is a single mean, in which
    all events so far count alike. The mix has one learned weight for each mean.

    It is the simplest recurrence there is, and it reaches far: item vectors that start from
    co-occurrence make "near to what you had lately" a good recommendation before any training, and
    gradients pass through a mean unchanged. A linear recurrence over a whole sequence is one matrix
    product with the lower triangular matrix of its decays (compare Fossil: He and McAuley, "Fusing
    Similarity Models with Markov Chains for Sparse Sequential Recommendation", ICDM 2016).

    Examples
    --------
    >>> means = RecentMeans([0.0, 0.5])
    >>> _ = nn.init.ones_(means.weights)
    >>> means(torch.tensor([1.0, 0.0, 0.0]).view(3, 1, 1)).flatten().tolist()
    [1.5, 0.25, 0.125]
    """

    def __init__(self, decays: Sequence[float], *, longest: int = 256):
        super().__init__()
        self.decays = tuple(decays)
        count = max(1, len(self.decays))
        self.weights = nn.Parameter(torch.full((count,), _MEAN_WEIGHT_AT_START))
        # Laid out in advance for so many steps; longer sequences work.
        self.register_buffer("_kernels", self._lay_out(longest), persistent=False)

    def forward(self, vectors: Tensor) -> Tensor:
        """Return the mix at every step: (L, B, E) for vectors (L, B, E)."""
        kernel = torch.einsum("k,kts->ts", self.weights, self._kernels_for(len(vectors)))
        return (kernel @ vectors.flatten(1)).view_as(vectors)

    def each(self, vectors: Tensor) -> Tensor:
        """Return each of the means at every step, not mixed: (K, L, B, E)."""
        means = self._kernels_for(len(vectors)) @ vectors.flatten(1)
        return means.view(-1, *vectors.shape)

    def start(self, batch: int, width: int) -> Tensor:
        """Return the means before any event: (K + 1, B, E); the last entry counts events."""
        return self.weights.new_zeros(len(self.weights) + 1, batch, width)

    def read(self, state: Tensor, vectors: Tensor) -> Tensor:
        """Return the means after more vectors: state (K + 1, B, E), vectors (L, B, E)."""
        means, seen, more = state[:-1], state[-1:], len(vectors)
        newest = (self._kernels_for(more)[:, -1] @ vectors.flatten(1)).view_as(means)
        if self.decays:
            left = torch.tensor(self.decays).to(vectors).view(-1, 1, 1) ** more
            return torch.cat([left * means + newest, seen + more])
        return torch.cat([(seen * means + more * newest) / (seen + more), seen + more])

    def mix(self, state: Tensor) -> Tensor:
        """Return the mix of a state's means: (B, E)."""
        return torch.einsum("k,kbe->be", self.weights, state[:-1])

    def _kernels_for(self, steps: int) -> Tensor:
        if steps > self._kernels.shape[1]:
            return self._lay_out(steps).to(self._kernels)
        return self._kernels[:, :steps, :steps]

    def _lay_out(self, steps: int) -> Tensor:
        """Return the weight of step s in the mean at step t, (K, t, s)."""
        place = torch.arange(steps)
        if not self.decays:
            return torch.tril(1.0 / (place[:, None] + 1.0).expand(steps, steps))[None]
        distance = (place[:, None] - place).clamp(min=0).float()
        kernels = [decay**distance * (1.0 - decay) for decay in self.decays]
        return torch.stack([torch.tril(kernel) for kernel in kernels])


class UserState(NamedTuple):
    """What is left of a history that was read."""

    hidden: Tensor  # (B, H)
    means: Tensor  # (K + 1, B, E)
    last: Tensor  # (B, E), the last item's vector


class RecurrentEncoder(nn.Module):
    """Follow the order of events with a GRU and what came lately with running means.

    Notes
    -----
    For item vectors e_s and whole inputs x_s at the steps s = 1..t::

        state  = GRU(drop(x_s) for s = 1..t)
        vector = A drop(state) + mix of running means of drop(e_s) + direction B drop(e_t)

    Running means say what is near to what: e_j . e_t is the same from either side. What comes after
    what is known to the GRU, but only as much as passes its narrow state. Where items have
    followers that do not lead back to them (episodes, refills), the matrix B tells them apart: a
    factorised Markov chain (Rendle et al., "Factorizing personalized Markov chains", WWW 2010).
    Where order means little, B would only learn noise; so ``direction`` is counted
    (:func:`~personalens.training.start_values.direction_of`) and not learned, and 0 leaves B out.
    """

    def __init__(
        self,
        width: int,
        hidden_size: int,
        *,
        truncate: int = 32,
        decays: Sequence[float] = (0.0, 0.8, 0.95),
        drop: Dropout,
    ):
        super().__init__()
        self.width = width
        self.gru = GRU(width, hidden_size, truncate=truncate)
        self.to_item_space = nn.Linear(hidden_size, width)
        self.means = RecentMeans(decays)
        self.follow = nn.Parameter(torch.zeros(width, width))
        self.register_buffer("direction", torch.zeros(()))
        self.drop = drop

    def initialise(self, generator: torch.Generator) -> None:
        """Draw the start weights."""
        for weights in (*self.gru.parameters(), *self.to_item_space.parameters()):
            bound = self.gru.hidden_size**-0.5
            nn.init.uniform_(weights, -bound, bound, generator=generator)

    def forward(self, items: Tensor, inputs: Tensor, positions: Tensor) -> Tensor:
        """Return (n, E) at ``positions`` among the L * B places of (L, B, E) vectors of items and
        whole inputs; what comes after a place does not reach it."""
        states = self.gru(self.drop(inputs)).flatten(0, 1)  # (L * B, H)
        items = self.drop(items)
        recent = self.means(items).flatten(0, 1)  # (L * B, E)
        states, recent = states.index_select(0, positions), recent.index_select(0, positions)
        vectors = self.to_item_space(self.drop(states)) + recent  # (n, E)
        return self._add_followers(vectors, items.flatten(0, 1).index_select(0, positions))

    def _add_followers(self, vectors: Tensor, last: Tensor) -> Tensor:
        """Return (n, E) vectors with what the last items (n, E) lead to."""
        if not self.direction:
            return vectors
        return vectors + last @ (self.direction * self.follow)

    def start(self, batch: int) -> UserState:
        """Return the state before anything was read."""
        hidden = self.to_item_space.weight.new_zeros(batch, self.gru.hidden_size)
        last = hidden.new_zeros(batch, self.width)
        return UserState(hidden, self.means.start(batch, self.width), last)

    def read(self, state: UserState, items: Tensor, inputs: Tensor) -> UserState:
        """Return the state after more events: vectors (L, B, E) of items and whole inputs."""
        hidden = self.gru(inputs, state.hidden)[-1]
        return UserState(hidden, self.means.read(state.means, items), items[-1])

    def decode(self, state: UserState) -> Tensor:
        """Return (B, E): a state's vectors in item space."""
        vectors = self.to_item_space(state.hidden) + self.means.mix(state.means)
        return self._add_followers(vectors, state.last)


# -- the network -----------------------------------------------------------------------------------


class SessionNetwork(nn.Module):
    """Embed each event, have an encoder read the history, and compare the result with every item.

    The item vectors serve as input and as output layer. An ``encoder`` has ``initialise`` and
    ``forward`` as :class:`RecurrentEncoder` has them, and, if live events are to be read one by
    one, ``start``, ``read`` and ``decode``.

    Notes
    -----
    For a history with events x_1 ... x_t of item vectors e, feature vectors f, and a request of
    feature vectors c::

        vector = encoder(e(x_s), e(x_s) + f(x_s) for s = 1..t) + c
        score of item j = e(j) . vector + bias(j) + repeat, where j is among x_1 ... x_t

    ``repeat`` is one learned number: low where people do not come back to an item (films), high
    where they do (groceries).
    """

    def __init__(
        self,
        items: ItemVectors,
        encoder: nn.Module,
        feature_values: int,
        *,
        query: QueryVectors | None = None,
        rng: np.random.Generator | None = None,
    ):
        super().__init__()
        self.items = items
        self.feature = FeatureVectors(feature_values, items.width)
        self.query = query
        self.repeat = nn.Parameter(torch.zeros(()))
        self.encoder = encoder
        rng = np.random.default_rng(0) if rng is None else rng
        generator = torch.Generator().manual_seed(int(rng.integers(2**31)))
        for table in (self.items.own.weight, self.feature.weight):
            nn.init.normal_(table, std=_EMBEDDING_SPREAD, generator=generator)
        encoder.initialise(generator)

    @property
    def catalogue_size(self) -> int:
        """Number of items."""
        return self.items.size

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.repeat.device

    def forward(self, events: Events, positions: Tensor) -> Tensor:
        """Return (n, E): the vectors in item space at ``positions`` among the L * B places."""
        vectors = self.encoder(*self._embed(events), positions)
        if self.query is None:
            return vectors
        return vectors + self.query(events.queries.flatten(0, 1).index_select(0, positions))

    def output(self, codes: Tensor | None = None) -> Output:
        """Return what vectors in item space are compared with: all items, or some (k,)."""
        return self.items.output(codes)

    def scores(self, vectors: Tensor, seen: Seen) -> Tensor:
        """Return (n, items) scores of vectors in item space, with what was seen before them."""
        table, bias = self.output()
        scores = torch.addmm(bias, vectors, table.t())
        items, counts = seen.at(slice(None))
        return scores.scatter_add_(1, items, counts * self.repeat)

    def start(self, batch: int) -> Any:
        """Return the encoder's state before anything was read."""
        return self.encoder.start(batch)

    def read(self, state: Any, events: Events) -> Any:
        """Return the state after more events. Reading a history piece by piece ends where one pass
        over it ends: a live event costs one step, not the history."""
        return self.encoder.read(state, *self._embed(events))

    def decode(self, state: Any, events: Events) -> Tensor:
        """Return (B, E): a state's vectors in item space, for the requests after the events."""
        vectors = self.encoder.decode(state)
        return vectors if self.query is None else vectors + self.query(events.queries)

    def _embed(self, events: Events) -> tuple[Tensor, Tensor]:
        """Return the item vectors and the whole inputs, (..., E) each."""
        items = self.items(events.items)
        return items, items + self.feature(events.features)
