"""The service's quotas, kept only on request.

AWS allows five dataset groups a region, which would end a day with several notebooks early. So the
quotas are off unless ``PERSONALENS_QUOTAS=on`` asks for them, to try how a program meets them.

Amazon Personalize: LimitExceededException; developer guide, "Endpoints and quotas".
"""

from __future__ import annotations

import os

from personalens.control.resource_states import is_in_transition
from personalens.control.resource_store import Transaction
from personalens.service_errors import LimitExceededException

QUOTAS_VARIABLE = "PERSONALENS_QUOTAS"

EXISTING = {
    "schema": 500,
    "dataset-group": 5,
    "solution": 10,
    "campaign": 5,
    "recommender": 5,
    "filter": 30,
    "data-deletion-job": 5,
}
"""How many there may be, per region or per parent; of data deletion jobs, that are pending."""

IN_PROGRESS = {
    "dataset-import-job": 5,
    "batch-inference-job": 5,
    "batch-segment-job": 5,
    "solution-version": 20,
}
"""How many may be pending or in progress at once."""


def check_quota(tx: Transaction, kind: str, *, existing: int | None = None) -> None:
    """Refuse one more resource of a kind where the quotas are on and this one is reached.

    Parameters
    ----------
    tx
        The transaction that is about to create it.
    existing
        How many of its kind count already. Default: all in the region.

    Raises
    ------
    LimitExceededException
        If the quota is reached.
    """
    if not _quotas_are_on():
        return
    if kind in EXISTING:
        count = len(tx.list(kind)) if existing is None else existing
        if count >= EXISTING[kind]:
            raise LimitExceededException(
                f"More than {EXISTING[kind]} resources of the kind {kind.replace('-', ' ')}."
                f" Delete one, or unset {QUOTAS_VARIABLE}."
            )
    if kind in IN_PROGRESS and sum(map(is_in_transition, tx.list(kind))) >= IN_PROGRESS[kind]:
        raise LimitExceededException(
            f"More than {IN_PROGRESS[kind]} resources with PENDING or IN_PROGRESS status."
        )


def _quotas_are_on() -> bool:
    mode = os.environ.get(QUOTAS_VARIABLE) or "off"
    if mode not in ("on", "aws", "off"):  # "aws" is what the first release called it
        raise ValueError(f"{QUOTAS_VARIABLE} is {mode!r}; allowed: on, off")
    return mode != "off"
