"""Batch jobs: a list of items, or a segment of users, for each line of a file.

Amazon Personalize: CreateBatchInferenceJob gives the lists that GetRecommendations would give. Its
lines are ``{"userId": "1"}``; for a recipe of related items ``{"itemId": "1"}``; to rank
``{"userId": "1", "itemList": ["2", "3"]}``; each with ``filterValues`` if the job's filter has
placeholders. In the mode THEME_GENERATION each list gets a theme, and the order in which the theme
is relevant for its items. CreateBatchSegmentJob finds the users who will most likely come to an
item, ``{"itemId": "1"}``, or to items of a kind,
``{"itemAttributes": "ITEMS.genres = \\"Drama\\""}``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from personalens.datasets.metadata import Metadata
from personalens.evaluation.ranking_metrics import NOTHING, top_k
from personalens.jobs.job_runner import JobFailed, JobHandler
from personalens.progress import Progress, ProgressEvent
from personalens.recipes.base import Recipe
from personalens.runtime.answering import RANKING, RELATED, BlockAnswering, ranked_items
from personalens.runtime.batch_lines import (
    LineFault,
    answer_files,
    check_length,
    filter_values,
    json_bytes,
    json_names,
    json_numbers,
    required_text,
)
from personalens.runtime.deployments import Deployment, Question
from personalens.runtime.filtering import Allowed, UserFilter
from personalens.runtime.group_tables import GroupSnapshot
from personalens.runtime.item_themes import ThemeWriter
from personalens.service_errors import ServiceError
from personalens.settings.serving_config import THEME_GENERATION
from personalens.storage.dataset_rows import rows_of_group
from personalens.storage.job_queue import Job
from personalens.storage.model_folders import load_model, serving_folder
from personalens.storage.resource_store import ACTIVE, CREATE_IN_PROGRESS, Resource

if TYPE_CHECKING:
    from personalens.storage.service_context import ServiceContext

SCORES_AT_ONCE, LINES_AT_ONCE, SEGMENTS_AT_ONCE = 2_000_000, 256, 8
MOST_RANKED, MOST_THEMES = 500, 100
ROWS_IN_CACHE = 16
SMALL = 60.0
"""Scores whose exponentials are summed as they are; above, float32 might overflow."""


class BatchRecommender:
    """Answers blocks of lines. Safe to share between threads.

    ``num_results`` is the length of the lists; a ranking has the length of what is ranked.
    ``themes`` names what a list has in common; None: nobody does.
    """

    def __init__(
        self,
        deployment: Deployment,
        answering: BlockAnswering,
        num_results: int,
        *,
        filter_arn: str | None = None,
        themes: ThemeWriter | None = None,
    ):
        self._deployment, self._answering, self._filter_arn = deployment, answering, filter_arn
        self._num_results, self._themes = num_results, themes
        self._names = json_names(deployment.model.items_.ids)

    @property
    def block_size(self) -> int:
        """How many lines to answer at once: as many as keep the scores in the cache."""
        items = max(1, len(self._deployment.model.items_))
        return max(1, min(LINES_AT_ONCE, SCORES_AT_ONCE // items))

    def answer(self, lines: Sequence[dict[str, Any]]) -> list[bytes | LineFault]:
        """Return the JSON of each line's output, or what is wrong with it."""
        if lines and self._filter_arn is None and self._recipe_type not in (RELATED, RANKING):
            users = [asked.get("userId") for asked in lines]
            if all(type(user) is str and user for user in users) and max(map(len, lines)) == 1:
                return self._answers([Question(user) for user in users], None)  # the usual lines
        answers: list[bytes | LineFault] = [LineFault("")] * len(lines)
        places, questions, allowed = [], [], []
        for place, asked in enumerate(lines):
            try:
                question = self._question(asked)
                allowed.append(self._answering.allowed(self._deployment, question))
            except (LineFault, ServiceError) as error:
                answers[place] = LineFault(str(error))
            else:
                places.append(place)
                questions.append(question)
        if questions:
            texts = self._answers(questions, allowed if self._filter_arn else None)
            for place, text in zip(places, texts, strict=True):
                answers[place] = text
        return answers

    @property
    def _recipe_type(self) -> str:
        return self._deployment.model.recipe_type

    def _question(self, asked: dict[str, Any]) -> Question:
        user_id = item_id = None
        if self._recipe_type == RELATED:
            item_id = required_text(asked, "itemId")
        else:
            user_id = required_text(asked, "userId")
        item_list: Sequence[str] = ()
        if self._recipe_type == RANKING:
            item_list = asked.get("itemList") or ()
            is_list = isinstance(item_list, list) and all(isinstance(i, str) for i in item_list)
            if not is_list or not 1 <= len(item_list) <= MOST_RANKED:
                raise LineFault(f"itemList must be a list of 1 to {MOST_RANKED} strings.")
        values = filter_values(asked)
        return Question(user_id, item_id, item_list, None, self._filter_arn, values)

    def _answers(
        self, questions: Sequence[Question], allowed: Sequence[Allowed] | None
    ) -> list[bytes]:
        model = self._deployment.model
        scores = self._answering.scores(self._deployment, questions)
        if self._recipe_type == RANKING:
            masks = [None] * len(questions) if allowed is None else allowed
            ranked = zip(scores.values, questions, masks, strict=True)
            return [
                self._ranking(ranked_items(model, row, question.item_list, mask))
                for row, question, mask in ranked
            ]
        masks = None
        if allowed is not None:
            masks = np.stack([each.of_model(model.items_) for each in allowed])
        codes = scores.best(self._num_results, masks)
        if self._themes is not None:
            return [
                self._themed(self._themes, row[row != NOTHING], question.item_id)
                for row, question in zip(codes, questions, strict=True)
            ]
        lengths = (codes != NOTHING).sum(axis=1).tolist()
        names = self._names[np.maximum(codes, 0)].tolist()
        items = [b",".join(row[:length]) for row, length in zip(names, lengths, strict=True)]
        if not model.has_scores:
            return [b'{"recommendedItems":[%b]}' % row for row in items]
        shares = shares_of(scores.values, codes, best_first=masks is None)
        return [
            b'{"recommendedItems":[%b],"scores":[%b]}' % both
            for both in zip(items, json_numbers(shares, lengths), strict=True)
        ]

    def _themed(self, themes: ThemeWriter, codes: np.ndarray, item_id: str) -> bytes:
        theme = themes.theme(self._deployment.model.items_.decode(codes), item_id)
        order = np.argsort(-theme.relevance, kind="stable")
        (numbers,) = json_numbers(theme.relevance[np.newaxis, order], [len(order)])
        return b'{"recommendedItems":[%b],"theme":%b,"itemsThemeRelevanceScores":[%b]}' % (
            b",".join(self._names[codes[order]]),
            json_bytes(theme.text),
            numbers,
        )

    def _ranking(self, ranked: Sequence[Mapping[str, Any]]) -> bytes:
        names = [json_bytes(item["itemId"]) for item in ranked]
        text = b'{"recommendedItems":[%b]' % b",".join(names)
        if self._deployment.model.has_scores:
            shown = np.array([item["score"] for item in ranked if "score" in item])
            text += b',"scores":[%b]' % json_numbers(shown[np.newaxis], [len(shown)])[0]
        return text + b"}"


def shares_of(scores: np.ndarray, codes: np.ndarray, *, best_first: bool = False) -> np.ndarray:
    """Return the softmax over the whole catalogue at some items: (B, n) scores at (B, k) codes.

    ``best_first``: the first of a row's codes is the best of all, which need not be looked for. The
    result has the precision of the scores, which is enough for seven decimals.
    """
    listed = np.take_along_axis(scores, np.maximum(codes, 0), axis=1)
    highest = listed[:, :1].copy() if best_first else scores.max(axis=1, keepdims=True)
    highest[~np.isfinite(highest)] = 0
    is_small = np.abs(highest).max() < SMALL
    if is_small:
        highest[:] = 0
    total, ones = np.empty_like(highest), np.ones((scores.shape[1], 1), scores.dtype)
    buffer = np.empty((min(len(scores), ROWS_IN_CACHE), scores.shape[1]), scores.dtype)
    for start in range(0, len(scores), ROWS_IN_CACHE):
        rows = slice(start, start + ROWS_IN_CACHE)
        own, work = scores[rows], buffer[: len(scores[rows])]
        lowered = own if is_small else np.subtract(own, highest[rows], out=work)
        np.matmul(np.exp(lowered, out=work), ones, out=total[rows])  # the quickest sum of rows
    return np.exp(listed - highest) / np.maximum(total, np.finfo(scores.dtype).tiny)


class BatchSegmenter:
    """Answers blocks of lines. Safe to share between threads.

    ``user_filter`` says who may be in a segment (None: everybody), ``num_results`` how many users a
    segment has at most.
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


def recommend_in_batch(context: ServiceContext, job: Job, report: Progress) -> None:
    """The job. Done again after a crash, it writes the same files once more."""
    asked, deployment = _begin(context, job, report, "batchInferenceJobConfig")
    recommender = BatchRecommender(
        deployment,
        BlockAnswering(context, deployment),
        asked.body["numResults"],
        filter_arn=asked.body.get("filterArn"),
        themes=theme_writer(context, asked),
    )
    answer_files(
        context, asked, report, recommender.answer, block_size=recommender.block_size, job=job
    )
    with context.jobs.finishing(job) as tx:
        tx.update(job.arn, status=ACTIVE)


def segment_in_batch(context: ServiceContext, job: Job, report: Progress) -> None:
    """The job. Done again after a crash, it writes the same files once more."""
    asked, deployment = _begin(context, job, report)
    user_filter = None
    if filter_arn := asked.body.get("filterArn"):
        found = context.store.require(filter_arn, "filter")
        user_filter = UserFilter(found, deployment, GroupSnapshot(context))
    segmenter = BatchSegmenter(deployment, user_filter, asked.body["numResults"])
    answer_files(context, asked, report, segmenter.answer, block_size=SEGMENTS_AT_ONCE, job=job)
    with context.jobs.finishing(job) as tx:
        tx.update(job.arn, status=ACTIVE)


def _begin(
    context: ServiceContext, job: Job, report: Progress, config: str = ""
) -> tuple[Resource, Deployment]:
    """Return a batch job, now in progress, and its model as if a campaign served it."""
    with context.jobs.holding(job) as tx:
        asked = tx.update(job.arn, status=CREATE_IN_PROGRESS)
    report(ProgressEvent("loading the model", 0.0))
    version = context.store.require(asked.body["solutionVersionArn"])
    try:
        model: Recipe = load_model(serving_folder(context.home, version), context.recipes())
    except (OSError, ValueError, ImportError) as error:
        raise JobFailed(f"The model cannot be read: {error}") from error
    group_arn, own = version.body["datasetGroupArn"], asked.body.get(config) or {}
    return asked, Deployment(job.arn, version.arn, group_arn, model, own, version.body)


def theme_writer(context: ServiceContext, job: Resource) -> ThemeWriter | None:
    """Return who writes the themes of a job, None where it wants none."""
    if job.body["batchInferenceJobMode"] != THEME_GENERATION:
        return None
    group_arn = context.store.require(job.body["solutionVersionArn"]).body["datasetGroupArn"]
    items = rows_of_group(context, group_arn).get("ITEMS")
    if items is None:
        raise JobFailed("Themes are made of what the Items dataset says: import items first.")
    check_length(context, job, MOST_THEMES)
    name = job.body["themeGenerationConfig"]["fieldsForThemeGeneration"]["itemName"]
    fields = [f for f in items.schema.fields if f.categorical or f.textual or f.name == name]
    frame = items.read(["ITEM_ID", *(field.name for field in fields)]).to_pandas()
    text = [field.name for field in fields if not field.categorical]
    return ThemeWriter(Metadata.from_frame(frame, "ITEM_ID", text=text), name)


BATCH_INFERENCE_HANDLER = JobHandler(recommend_in_batch)
BATCH_SEGMENT_HANDLER = JobHandler(segment_in_batch)
