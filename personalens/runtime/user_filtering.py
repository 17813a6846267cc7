"""Filters of users: who may be in a segment.

Amazon Personalize: filters with ``UserID``, which batch segment jobs take.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from personalens.datasets.id_maps import IdMap
from personalens.filters.expressions import FilterError, parse_filter
from personalens.filters.masks import Catalogue, Circumstances, CompiledFilter
from personalens.runtime.deployments import Deployment
from personalens.runtime.group_tables import GroupTables
from personalens.service_errors import InvalidInputException

if TYPE_CHECKING:
    from personalens.control.resource_store import Resource


class UserFilter:
    """One filter for the users of one model, by the present datasets.

    Parameters
    ----------
    found
        The filter.
    deployment
        The model whose users are filtered.
    tables
        The datasets. A condition on Interactions holds of a user who has any such event.
    """

    def __init__(self, found: Resource, deployment: Deployment, tables: GroupTables):
        group, users = deployment.dataset_group_arn, deployment.model.interactions_.users
        known = tables.metadata(group, "USERS")
        metadata = None if known is None else known.metadata.align(users)
        asked = parse_filter(found.body["filterExpression"])
        self._compiled = CompiledFilter(asked, Catalogue(users, metadata))
        self._codes, self._types = np.zeros(0, np.int32), None
        if any(condition.field.dataset == "Interactions" for condition in asked.conditions):
            self._codes, self._types = _types_of_users(tables, group, users)

    def allowed(self, values: Mapping[str, str]) -> np.ndarray:
        """Return (users,) bool.

        Raises
        ------
        InvalidInputException
            If a placeholder has no value.
        """
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
