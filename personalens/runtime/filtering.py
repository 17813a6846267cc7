"""Filters at work: from ``filterArn`` and ``filterValues`` of a request to who may be listed."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from personalens.datasets.id_maps import IdMap
from personalens.datasets.metadata import Metadata
from personalens.filters.expressions import FilterError, Target, parse_filter
from personalens.filters.field_rules import EVENT_DATASETS
from personalens.filters.masks import Circumstances, CompiledFilter, FieldIndex
from personalens.runtime.deployments import Deployment, Question
from personalens.runtime.group_tables import GroupTable, GroupTables
from personalens.runtime.recent_values import RecentValues
from personalens.service_errors import InvalidInputException, ResourceNotFoundException

if TYPE_CHECKING:
    from personalens.storage.resource_store import Resource
    from personalens.storage.service_context import ServiceContext

KEPT_FILTERS, KEPT_MASK_BYTES = 64, 32_000_000
_DATASETS: dict[Target, str] = {"ItemID": "ITEMS", "ActionID": "ACTIONS"}


@dataclass(frozen=True, eq=False)
class Allowed:
    """What a filter lets into a list: ``mask``, (len(ids),) bool, is not to be written to.

    ``ids`` are the model's items in their codes, then the other items of the Items dataset. Items
    that neither knows pass, ``lets_unknown``, unless something is asked of what is INCLUDEd.
    """

    ids: IdMap
    mask: np.ndarray
    lets_unknown: bool

    def of_model(self, items: IdMap) -> np.ndarray:
        """Return (len(items),) bool for the model's items."""
        return self.mask[: len(items)]

    def of(self, item_ids: np.ndarray) -> np.ndarray:
        """Return (n,) bool for these items."""
        codes = self.ids.encode(item_ids)
        return np.where(codes >= 0, self.mask[codes], self.lets_unknown)


class ItemFilters:
    """Applies the filters of one region and account. Safe to share between threads.

    A filter is compiled once for a model and a state of the Items dataset, and used until one of
    them changes. What it lets in is kept until something changes that it asks about.
    """

    def __init__(self, context: ServiceContext, tables: GroupTables):
        self._context, self._tables = context, tables
        self._compiled: RecentValues[tuple[IdMap, CompiledFilter]] = RecentValues(KEPT_FILTERS)
        self._masks: RecentValues[np.ndarray] = RecentValues(KEPT_MASK_BYTES, lambda m: m.nbytes)

    def allowed(self, deployment: Deployment, question: Question, target: Target) -> Allowed:
        """Return what the question's filter lets into a list for this user, or beside this item.

        ``target`` says whether the list is one of items or, with "ActionID", of actions.
        """
        found = self._filter(question.filter_arn)
        if found.parent_arn != deployment.dataset_group_arn:
            raise InvalidInputException(
                f"The filter {found.arn} belongs to {found.parent_arn}, but the campaign to "
                f"{deployment.dataset_group_arn}: create the filter in the campaign's group."
            )
        group, dataset_type = deployment.dataset_group_arn, _DATASETS[target]
        key, stamp = _compiled_as(found, deployment), self._tables.revision(group, dataset_type)
        made = self._compiled.get(key, stamp)
        if made is None:
            items = self._tables.metadata(group, dataset_type)
            made = self._compiled.get_or_make(
                key, lambda: _compile(found, deployment, items, target), stamp
            )
        ids, compiled = made
        lets_unknown = not any(each.includes for each in compiled.filter.expressions)
        is_personal = not compiled.datasets.isdisjoint((*EVENT_DATASETS, "CurrentUser"))
        who = question.user_id if is_personal else None
        asked = (key, stamp, frozenset((question.filter_values or {}).items()), who)
        asked += (question.item_id, *self._revisions(compiled, deployment, question.user_id))
        mask = self._masks.get(asked)
        if mask is None:
            asking = self._circumstances(compiled, ids, deployment, question)
            try:
                mask = compiled.mask(asking)
            except FilterError as error:
                raise InvalidInputException(str(error)) from None
            self._masks.keep(asked, mask)
        return Allowed(ids, mask, lets_unknown)

    def is_ready(self, deployment: Deployment, filter_arn: str) -> bool:
        """Whether all that a filter of items asks about is in memory, and it is compiled."""
        tables, group = self._tables, deployment.dataset_group_arn
        key = _compiled_as(self._filter(filter_arn), deployment)
        made = self._compiled.get(key, tables.revision(group, "ITEMS"))
        if made is None:
            return False
        asked = {"Interactions": "INTERACTIONS", "CurrentUser": "USERS"}
        return all(tables.is_read(group, asked[name]) for name in asked.keys() & made[1].datasets)

    def _filter(self, arn: str) -> Resource:
        kept, key = self._context.store.catalogue.unchanged(), (self, arn)
        if key not in kept:
            kept[key] = self._context.store.require(arn, "filter")
        if kept[key].is_being_deleted:
            raise ResourceNotFoundException(f"The filter {arn} is being deleted; leave it out.")
        return kept[key]

    def _revisions(
        self, compiled: CompiledFilter, deployment: Deployment, user_id: str | None
    ) -> list[Hashable]:
        """Return what is another one once a filter would let in something else for a user."""
        group, revisions = deployment.dataset_group_arn, []
        if "Interactions" in compiled.datasets:
            revisions.append(self._tables.user_revision(group, user_id))
        if "Action_Interactions" in compiled.datasets:
            revisions.append(self._tables.revision(group, "ACTION_INTERACTIONS"))
        if "CurrentUser" in compiled.datasets:
            revisions.append(self._tables.revision(group, "USERS"))
        return revisions

    def _circumstances(
        self, compiled: CompiledFilter, ids: IdMap, deployment: Deployment, question: Question
    ) -> Circumstances:
        """Look up what the filter's conditions ask about, and nothing else."""
        group, user_id = deployment.dataset_group_arn, question.user_id
        codes, types, user, item = np.zeros(0, np.int32), None, {}, {}
        if not compiled.datasets.isdisjoint(EVENT_DATASETS):
            of_actions = compiled.filter.target == "ActionID"
            look_up = self._tables.user_action_events if of_actions else self._tables.user_events
            names, types, _ = look_up(group, user_id)
            codes = ids.encode(names)
            types = None if types is None else types[codes >= 0]
            codes = codes[codes >= 0]
        if user_id is not None and "CurrentUser" in compiled.datasets:
            users = self._tables.metadata(group, "USERS")
            user = {} if users is None else users.metadata.row(user_id)
        if question.item_id is not None:
            items = self._tables.metadata(group, _DATASETS[compiled.filter.target])
            item = {} if items is None else items.metadata.row(question.item_id)
        return Circumstances(codes, types, user, item, question.filter_values or {})


def _compiled_as(found: Resource, deployment: Deployment) -> Hashable:
    return found.arn, found.created_at, deployment.solution_version_arn


def _compile(
    found: Resource, deployment: Deployment, items: GroupTable | None, target: Target
) -> tuple[IdMap, CompiledFilter]:
    asked = parse_filter(found.body["filterExpression"])
    if asked.target != target:
        raise InvalidInputException(
            f"The filter {found.arn} is about {asked.target}; this list takes one about {target}."
        )
    ids = _with_others(deployment.model.items_, items)
    metadata: Metadata | None = None if items is None else items.metadata.align(ids)
    return ids, CompiledFilter(asked, FieldIndex(ids, metadata))


def _with_others(known: IdMap, items: GroupTable | None) -> IdMap:
    if items is None:
        return known
    others = items.ids.ids[known.encode(items.ids.ids) < 0]
    return IdMap(np.concatenate([known.ids, others])) if len(others) else known


# Filters of users: who may be in a segment.


class UserFilter:
    """One filter for the users of one model, by the present datasets. A condition on Interactions
    holds of a user who has any such event."""

    def __init__(self, found: Resource, deployment: Deployment, tables: GroupTables):
        group, users = deployment.dataset_group_arn, deployment.model.interactions_.users
        known = tables.metadata(group, "USERS")
        metadata = None if known is None else known.metadata.align(users)
        asked = parse_filter(found.body["filterExpression"])
        self._compiled = CompiledFilter(asked, FieldIndex(users, metadata))
        self._codes, self._types = np.zeros(0, np.int32), None
        if any(condition.field.dataset == "Interactions" for condition in asked.conditions):
            self._codes, self._types = _types_of_users(tables, group, users)

    def allowed(self, values: Mapping[str, str]) -> np.ndarray:
        """Return (users,) bool. A placeholder without a value is an InvalidInputException."""
        asking = Circumstances(self._codes, self._types, parameters=values)
        try:
            return self._compiled.mask(asking)
        except FilterError as error:
            raise InvalidInputException(str(error)) from None


def _types_of_users(
    tables: GroupTables, group_arn: str, users: IdMap
) -> tuple[np.ndarray, np.ndarray | None]:
    """Return each user with each type of event that the user has had, once."""
    events = tables.interactions(group_arn)
    if events is None:
        return np.zeros(0, np.int32), None
    codes = users.encode(events.users.ids)[events.user_codes]
    types = np.full(len(codes), None) if events.event_types is None else events.event_types
    pairs = pd.DataFrame({"user": codes, "type": types}).drop_duplicates()
    pairs = pairs[pairs.user >= 0]
    kinds = None if events.event_types is None else pairs.type.to_numpy(object)
    return pairs.user.to_numpy(), kinds
