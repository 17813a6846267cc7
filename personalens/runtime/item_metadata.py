"""Columns of the Items dataset in an answer.

Amazon Personalize: ``metadataColumns`` of GetRecommendations and GetPersonalizedRanking. A column
may be asked for in whatever case; its key in the answer is in lower case, as the service's is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from personalens.runtime.deployments import Deployment
from personalens.runtime.group_tables import GroupTables
from personalens.service_errors import InvalidInputException

MAX_COLUMNS, MAX_ITEMS = 10, 50


def add_metadata(
    answer: list[dict[str, Any]],
    asked: Mapping[str, Sequence[str]] | None,
    deployment: Deployment,
    tables: GroupTables,
    *,
    asked_for: int,
) -> None:
    """Add ``metadata`` to the items of an answer: column in lower case -> value, as strings.

    Parameters
    ----------
    answer
        The items; changed in place.
    asked
        ``metadataColumns``; nothing happens without it.
    deployment
        Who answers.
    tables
        The present datasets.
    asked_for
        How many items the request asks for; 50 at most.

    Raises
    ------
    InvalidInputException
        If the campaign is not enabled for metadata, or the columns are too many or unknown.
    """
    if not asked:
        return
    columns = _columns(asked)
    if asked_for > MAX_ITEMS:
        raise InvalidInputException(
            f"{asked_for} items are asked for with metadata; {MAX_ITEMS} at most."
        )
    enabled = deployment.config.get("enableMetadataWithRecommendations", False)
    if not enabled and not deployment.model.tells_metadata:
        raise InvalidInputException(
            f"{deployment.campaign_arn} does not answer with metadata. Set "
            "enableMetadataWithRecommendations in its configuration by an update."
        )
    items = tables.metadata(deployment.dataset_group_arn, "ITEMS")
    known = {} if items is None else {name.upper(): name for name in items.rows.column_names}
    if unknown := [name for name in columns if name.upper() not in known]:
        raise InvalidInputException(
            f"metadataColumns names {unknown[0]}, which the Items dataset does not have. It has: "
            f"{', '.join(known.values()) or 'nothing, for nothing has been imported'}."
        )
    for item in answer:
        texts = items.texts(item["itemId"], [known[name.upper()] for name in columns])
        item["metadata"] = {name.lower(): text for name, text in texts.items()}


def _columns(asked: Mapping[str, Sequence[str]]) -> Sequence[str]:
    [(dataset_type, columns)] = asked.items()
    if dataset_type.upper() != "ITEMS":
        raise InvalidInputException(
            f"metadataColumns names the dataset type {dataset_type!r}; only ITEMS is possible."
        )
    if len(columns) > MAX_COLUMNS:
        raise InvalidInputException(
            f"metadataColumns names {len(columns)} columns; {MAX_COLUMNS} at most."
        )
    return columns
