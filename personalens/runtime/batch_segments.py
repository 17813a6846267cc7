"""Batch segments: the users who will most likely come to an item, or to items of a kind.

Amazon Personalize: CreateBatchSegmentJob. The lines are ``{"itemId": "1"}`` or ``{"itemAttributes":
"ITEMS.genres = \\"Drama\\""}``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from personalens.evaluation.top_k import top_k
from personalens.jobs.job_runner import JobHandler
from personalens.progress import Progress, ProgressEvent
from personalens.runtime.batch_inference import json_names, open_deployment
from personalens.runtime.batch_lines import LineFault, answer_files, filter_values, required_text
from personalens.runtime.deployments import Deployment
from personalens.runtime.filtering import UserFilter
from personalens.runtime.group_tables import GroupSnapshot
from personalens.service_errors import ServiceError
from personalens.storage.job_queue import Job
from personalens.storage.resource_states import ACTIVE, CREATE_IN_PROGRESS

if TYPE_CHECKING:
    from personalens.storage.service_context import ServiceContext

LINES_AT_ONCE = 8


class BatchSegmenter:
    """Answers blocks of lines. Safe to share between threads.

    Parameters
    ----------
    deployment
        The model.
    user_filter
        Who may be in a segment; None: everybody.
    num_results
        How many users a segment has at most.
    """

    def __init__(self, deployment: Deployment, user_filter: UserFilter | None, num_results: int):
        self._model = deployment.model
        self._filter, self._num_results = user_filter, num_results
        self._names = json_names(self._model.interactions_.users.ids)
        self._member = self._model.segments_by

    def answer(self, lines: Sequence[dict[str, Any]]) -> list[bytes | LineFault]:
        """Return the JSON of each line's output, or what is wrong with it."""
        return [self._answer(asked) for asked in lines]

    def _answer(self, asked: dict[str, Any]) -> bytes | LineFault:
        try:
            query = required_text(asked, self._member)
            values = filter_values(asked)
            scores = self._model.score_users([self._model.matching_items(query)])
            if self._filter is not None:
                scores = np.where(self._filter.allowed(values), scores, -np.inf)
        except (LineFault, ServiceError, ValueError) as error:
            return LineFault(str(error))
        users = self._names[top_k(scores, self._num_results)[0]]
        return b'{"usersList":[%b]}' % b",".join(users.tolist())


def segment_in_batch(context: ServiceContext, job: Job, report: Progress) -> None:
    """The job. Done again after a crash, it writes the same files once more."""
    with context.jobs.holding(job) as tx:
        asked = tx.update(job.arn, status=CREATE_IN_PROGRESS)
    report(ProgressEvent("loading the model", 0.0))
    deployment = open_deployment(context, asked)
    user_filter = None
    if filter_arn := asked.body.get("filterArn"):
        found = context.store.require(filter_arn, "filter")
        user_filter = UserFilter(found, deployment, GroupSnapshot(context))
    segmenter = BatchSegmenter(deployment, user_filter, asked.body["numResults"])
    answer_files(context, asked, report, segmenter.answer, block_size=LINES_AT_ONCE, job=job)
    with context.jobs.finishing(job) as tx:
        tx.update(job.arn, status=ACTIVE)


BATCH_SEGMENT_HANDLER = JobHandler(segment_in_batch)
