"""A network over sessions and the reader of its events: built, trained, asked, kept.

:class:`~personalens.recipes.session_recipe.SessionRecipe` says what is trained on what, and when to
stop; this is how.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import numpy as np
import torch
from torch import nn

from personalens.datasets.array_tree import flatten
from personalens.datasets.interactions import History, Interactions, histories_of
from personalens.datasets.metadata import Metadata
from personalens.networks.session_network import (
    Dropout,
    Events,
    FieldValues,
    ItemVectors,
    QueryVectors,
    RecurrentEncoder,
    SessionNetwork,
    seen_before,
)
from personalens.recipes.event_reader import EventReader
from personalens.recipes.item_fields import ItemFields, ValueTable, explained_by_values
from personalens.training.batches import (
    Sequences,
    bucketed_batches,
    cut_windows,
    make_batch,
    newest_windows,
)
from personalens.training.losses import FullSoftmax, OutputLoss, SampledSoftmax
from personalens.training.options import TrainingOptions
from personalens.training.start_values import StartValues
from personalens.training.trainer import NextItemValidation, Trainer

ITEM_VECTOR_SIZE = 128
ITEM_VECTOR_SPREAD = 0.35
DROPOUT = 0.5
WINDOW, CONTEXT = 200, 20
"""Events of a window in training, and those before it that lead in; a request reads ``WINDOW``."""
FULL_SOFTMAX_ITEMS = 5_000
CERTAIN_CANDIDATES = 1024
SCORE_BATCH = 128
_ROW_FOR_ITEM = ("items.own.weight", "items.own_bias", "items.codes", "items.weights", "is_known")
QUERY_WITHHELD = 0.25
"""Share of the training in which requests tell nothing of their context and user."""
FEW_EVENTS = 10.0
"""An item with so many events counts half where metadata are to explain the start vectors."""


class NetworkBuilder:
    """Builds the network of a session model, begins it, and says what trains it. The config of a
    recipe returns one, with the sizes."""

    def encoder(self, width: int, rng: np.random.Generator) -> nn.Module:
        """Return the part of the network that reads a history, for item vectors of this width."""
        raise NotImplementedError

    def network(
        self,
        items: ItemVectors,
        feature_values: int,
        query: QueryVectors | None,
        rng: np.random.Generator,
    ) -> SessionNetwork:
        """Return the network. Default: what the encoder makes of a history is compared with the
        vectors of the items."""
        encoder = self.encoder(items.width, rng)
        return SessionNetwork(items, encoder, feature_values, query=query, rng=rng)

    def begin(self, network: SessionNetwork, values: StartValues) -> None:
        """Give a network its start values."""
        network.items.own.weight[: network.items.size].add_(torch.from_numpy(values.vectors))
        network.items.own_bias.copy_(torch.from_numpy(values.popularity))
        network.repeat.fill_(values.repeat)

    def loss(
        self, counts: np.ndarray, rng: np.random.Generator, *, has_cold_items: bool
    ) -> OutputLoss:
        """Return what training makes small; ``counts`` (items,) are the events of each item.
        Default: a softmax over the items, or a sample of them."""
        return softmax_loss(counts, has_cold_items=has_cold_items)


@dataclass(frozen=True)
class RecurrentBuilder(NetworkBuilder):
    """A recurrent reader: width of its state, steps through which gradients flow back, decays of
    the running means (none: all events weigh the same)."""

    hidden_size: int
    truncate: int
    decays: tuple[float, ...]

    def encoder(self, width: int, rng: np.random.Generator) -> RecurrentEncoder:
        """Return the part of the network that reads a history."""
        return RecurrentEncoder(
            width,
            self.hidden_size,
            truncate=self.truncate,
            decays=self.decays,
            drop=Dropout(DROPOUT, rng),
        )

    def begin(self, network: SessionNetwork, values: StartValues) -> None:
        """Give a network its start values."""
        super().begin(network, values)
        network.encoder.direction.fill_(values.direction)


class Reading(NamedTuple):
    """What is kept of reading a history: the encoder's state after it, the first of its events that
    was read, and how many it had."""

    state: Any
    first: int
    count: int


@dataclass(frozen=True, eq=False)
class SessionModel:
    """What builds the network, the reader that turns events into numbers, the network that reads
    them, and the fields of the items' metadata, if it has any."""

    builder: NetworkBuilder
    reader: EventReader
    network: SessionNetwork
    fields: ItemFields | None = None

    @classmethod
    def begin(
        cls,
        events: Interactions,
        builder: NetworkBuilder,
        rng: np.random.Generator,
        *,
        items: Metadata | None = None,
        users: Metadata | None = None,
        reads_context: bool = False,
    ) -> Self:
        """Return an untrained model of these events, with what counting says as start values. The
        metadata have one row for each code."""
        reader = EventReader.fit(events, reads_context=reads_context, users=users)
        fields = None if items is None else ItemFields.fit(items)
        table = None if items is None else fields.encode(items)
        network = _network(reader, builder, rng, table, 0 if fields is None else fields.size)
        values = StartValues.count(
            events.item_codes,
            events.offsets,
            len(events.items),
            ITEM_VECTOR_SIZE,
            spread=ITEM_VECTOR_SPREAD,
            weights=events.event_weights,
        )
        with torch.no_grad():
            builder.begin(network, values)
            if table is not None:
                _give_to_fields(network.items, table, values.counts)
        return cls(builder, reader, network, fields)

    def trainer(
        self,
        events: Interactions,
        options: TrainingOptions,
        rng: np.random.Generator,
        users: Metadata | None = None,
    ) -> Trainer:
        """Return what trains the network to predict each of these events from those before."""
        asked = np.flatnonzero(np.diff(events.offsets))
        sequences = self.reader.read(histories_of(events, asked, users=users))
        sequences = sequences.weighted(events.event_weights)
        windows = cut_windows(sequences.offsets, WINDOW, context=CONTEXT)
        counts = np.bincount(events.item_codes, minlength=len(events.items))
        loss = self.builder.loss(counts, rng, has_cold_items=self.fields is not None)
        return Trainer(self.network, sequences, windows, loss, options, rng)

    def validation(
        self, events: Interactions, held_out: np.ndarray, users: Metadata | None = None
    ) -> NextItemValidation:
        """Return what asks for the held-out events, each with its user's earlier ones known."""
        counts = np.bincount(events.user_codes[held_out], minlength=len(events.users))
        asked = np.flatnonzero(counts)
        sequences = self.reader.read(histories_of(events, asked, users=users))
        if events.event_weights is not None:
            of_asked = np.isin(events.user_codes, asked)
            sequences = sequences.weighted(events.event_weights[of_asked])
        # The last row has no next event; the rows before it have the held-out ones as targets.
        windows = newest_windows(sequences.offsets, WINDOW, asked=counts[asked] + 1)
        return NextItemValidation(sequences, windows)

    def score(self, histories: Sequence[History]) -> np.ndarray:
        """Return (len(histories), items) float32: how well each item would come next."""
        network = self.network
        scores = np.empty((len(histories), network.catalogue_size), np.float32)
        is_read = np.array([history.reading is not None for history in histories], bool)
        if is_read.any():
            for row in np.flatnonzero(is_read):
                scores[row] = self._score_read(histories[row])
            if not is_read.all():
                scores[~is_read] = self.score([h for h in histories if h.reading is None])
            return scores
        sequences = self.reader.read(histories)
        sequences.targets[sequences.offsets[1:] - 1] = 0  # any item: it marks the rows to ask at
        windows = newest_windows(sequences.offsets, WINDOW, asked=1)
        with torch.inference_mode():
            for chosen in bucketed_batches(windows.lengths, SCORE_BATCH):
                batch = make_batch(sequences, windows, chosen).to(network.device)
                seen = seen_before(batch.events.items, batch.positions, network.catalogue_size)
                vectors = network(batch.events, batch.positions)
                scores[batch.owners] = network.scores(vectors, seen).cpu().numpy()
        return scores

    def read(self, history: History, before: Reading | None = None) -> Reading | None:
        """Return the state after a history, or, from the one before, after its further events; None
        if the encoder keeps no state.

        A first reading begins where ``score`` begins, ``WINDOW`` rows before the end; what follows
        is read on without an end.
        """
        if not hasattr(self.network.encoder, "read"):
            return None
        if before is None:
            rows = self.reader.read([history])
            start = max(0, len(rows.items) - WINDOW)
            first, state = max(0, start - 1), self.network.start(1)
        else:
            # The event read last stands before the new ones, for their pauses.
            rows = self.reader.read([history.select(slice(max(0, before.count - 1), None))])
            start = 2 if before.count else 1
            first, state = before.first, before.state
        if start < len(rows.items):
            with torch.inference_mode():
                state = self.network.read(state, self._events(rows, start))
        return Reading(state, first, len(history))

    def _score_read(self, history: History) -> np.ndarray:
        """Return (items,) scores of a history by its reading."""
        reading, network = history.reading, self.network
        newest = self.reader.read([history.select(slice(max(0, len(history) - 1), None))])
        items = torch.from_numpy(history.item_codes[reading.first :].astype(np.int64))
        items, position = items[:, None].to(network.device), torch.tensor([len(items) - 1])
        with torch.inference_mode():
            seen = seen_before(items, position.to(network.device), network.catalogue_size)
            request = Events(*(part[0] for part in self._events(newest, -1)))
            vector = network.decode(reading.state, request)
            return network.scores(vector, seen)[0].cpu().numpy()

    def _events(self, rows: Sequences, start: int) -> Events:
        """Return the rows from ``start`` on as the events of a batch of one: (L, 1, ...) each."""
        parts = (part[start:, None] for part in (rows.items, rows.features, rows.queries))
        return Events(*(torch.from_numpy(part).to(self.network.device) for part in parts))

    @property
    def item_vectors(self) -> np.ndarray:
        """(items, E) float32; do not write to them."""
        with torch.inference_mode():
            return self.network.output().table.cpu().numpy()

    def with_items(self, known: np.ndarray, items: Metadata | None) -> Self:
        """Return the same model for another catalogue.

        ``known`` (items,) are the codes that the items have in this model, -1 where they are new.
        Without metadata of ``items`` those that this model knows keep theirs, and of the new ones
        nothing is known. A model without fields cannot take any: its new items have no vector, and
        the bias of the rarest item.
        """
        weights = {name: tensor.cpu() for name, tensor in self.network.state_dict().items()}
        rows = torch.from_numpy(known.astype(np.int64))
        is_new = rows < 0
        for name in weights:
            if name.endswith(_ROW_FOR_ITEM):
                kept, last = weights[name][rows], weights[name][self.network.catalogue_size :]
                kept[is_new] = 0
                weights[name] = torch.cat([kept, last])  # where there is one, the start row
        if self.fields is None:
            weights["items.own_bias"][is_new] = self.network.items.own_bias.detach().cpu().min()
        else:
            weights["items.weights"][:-1, 0] = 1.0  # the value that every item has
        if items is not None:
            table = self.fields.encode(items)
            codes, shares = (np.concatenate([part, 0 * part[:1]]) for part in table)
            weights["items.codes"] = torch.from_numpy(codes)
            weights["items.weights"] = torch.from_numpy(shares)
        arrays = {name: tensor.numpy() for name, tensor in weights.items()}
        described = self._described() | {"network": arrays}
        return type(self).from_arrays(len(known), self.builder, described)

    def to_arrays(self) -> dict[str, Any]:
        """Return reader, fields and weights as a tree of arrays, for a model's file."""
        weights = {name: w.cpu().numpy() for name, w in self.network.state_dict().items()}
        return {"network": weights} | self._described()

    def _described(self) -> dict[str, Any]:
        fields = {} if self.fields is None else {"fields": self.fields.to_arrays()}
        return {"reader": self.reader.to_arrays()} | fields

    @classmethod
    def from_arrays(cls, items: int, builder: NetworkBuilder, tree: Mapping[str, Any]) -> Self:
        """Take back what :meth:`to_arrays` gave."""
        reader = EventReader.from_arrays(items, tree["reader"])
        weights = flatten(tree["network"])  # the names of a network's parts have dots
        fields = table = None
        if "fields" in tree:
            fields = ItemFields.from_arrays(tree["fields"])
            # The start of a history comes last; the network adds it itself.
            table = ValueTable(weights["items.codes"][:-1], weights["items.weights"][:-1])
        size = 0 if fields is None else fields.size
        network = _network(reader, builder, np.random.default_rng(0), table, size)
        network.load_state_dict(
            {name: torch.from_numpy(np.array(array)) for name, array in weights.items()}
        )
        return cls(builder, reader, network.eval(), fields)


def _network(
    reader: EventReader,
    builder: NetworkBuilder,
    rng: np.random.Generator,
    table: ValueTable | None,
    values: int,
) -> SessionNetwork:
    fields = None if table is None else FieldValues(*(torch.from_numpy(np.array(a)) for a in table))
    items = ItemVectors(reader.catalogue_size, ITEM_VECTOR_SIZE, fields=fields, values=values)
    sizes = list(reader.query_sizes.values())
    query = None
    if sizes:
        first_values = np.cumsum([0, *sizes[:-1]]).tolist()
        query = QueryVectors(
            first_values,
            sum(sizes),
            ITEM_VECTOR_SIZE,
            withheld=QUERY_WITHHELD,
            dropout=DROPOUT,
            rng=rng,
        )
    return builder.network(items, sum(reader.sizes.values()), query, rng)


def _give_to_fields(items: ItemVectors, table: ValueTable, counts: np.ndarray) -> None:
    """Move what the metadata explain of the start vectors and biases to the fields. The sum stays
    what it was, except for items without events, of which the metadata are all there is."""
    own = torch.cat([items.own.weight[: items.size], items.own_bias[:, None]], 1)
    # Vectors of rare items are noise, their popularity is not: it counts as much as any other's.
    trusts = counts / (counts + FEW_EVENTS), (counts > 0).astype(float)
    explained = [
        explained_by_values(part.numpy(), *table, len(items.field), trust=trust)
        for part, trust in zip((own[:, :-1], own[:, -1:]), trusts, strict=True)
    ]
    items.field.copy_(torch.from_numpy(np.concatenate(explained, axis=1)))
    rest = own - items.of_fields(slice(items.size))
    rest *= torch.from_numpy(counts > 0)[:, None]
    items.own.weight[: items.size], items.own_bias[:] = rest[:, :-1], rest[:, -1]


def softmax_loss(counts: np.ndarray, *, has_cold_items: bool) -> OutputLoss:
    """Return the loss. Items that nobody could have had are no candidates: their metadata would
    learn that they are not wanted."""
    warm = np.count_nonzero(counts)
    if len(counts) <= FULL_SOFTMAX_ITEMS and not (has_cold_items and warm < len(counts)):
        return FullSoftmax()
    certain = warm if warm <= FULL_SOFTMAX_ITEMS else CERTAIN_CANDIDATES
    return SampledSoftmax(counts, certain=certain)
