"""Batch inference: a list of items for each line, as GetRecommendations would give it.

Amazon Personalize: CreateBatchInferenceJob. The lines are ``{"userId": "1"}``; for a recipe of
related items ``{"itemId": "1"}``; to rank ``{"userId": "1", "itemList": ["2", "3"]}``; each with
``filterValues`` if the job's filter has placeholders. In the mode THEME_GENERATION each list gets a
theme, and the order in which the theme is relevant for its items.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from personalens.datasets.histories import History
from personalens.datasets.metadata import Metadata
from personalens.evaluation.top_k import NOTHING, top_k_matrix
from personalens.jobs.job_runner import JobFailed, JobHandler
from personalens.progress import Progress, ProgressEvent
from personalens.recipes.base import Recipe
from personalens.runtime.batch_lines import (
    LineFault,
    answer_files,
    check_length,
    filter_values,
    json_bytes,
    required_text,
)
from personalens.runtime.candidate_ranking import offered_scores, ranked_items
from personalens.runtime.deployments import Deployment
from personalens.runtime.filtering import Allowed, ItemFilters
from personalens.runtime.group_tables import GroupSnapshot
from personalens.runtime.item_themes import ThemeWriter
from personalens.runtime.request_randomness import RequestRandomness
from personalens.runtime.user_histories import UserHistories
from personalens.service_errors import ServiceError
from personalens.settings.serving_config import THEME_GENERATION, ExplorationSettings
from personalens.settings.solution_config import EVENTS_UNTIL
from personalens.storage.dataset_rows import rows_of_group
from personalens.storage.event_log import EventLog
from personalens.storage.job_queue import Job
from personalens.storage.model_folders import load_model, serving_folder
from personalens.storage.resource_store import ACTIVE, CREATE_IN_PROGRESS, Resource

if TYPE_CHECKING:
    from personalens.storage.service_context import ServiceContext

RANKING, RELATED = "PERSONALIZED_RANKING", "RELATED_ITEMS"
SCORES_AT_ONCE, LINES_AT_ONCE = 2_000_000, 256
MOST_RANKED, MOST_THEMES = 500, 100
ROWS_IN_CACHE, NUMBER_WIDTH = 16, len("0.1234567,")
SMALL = 60.0
"""Scores whose exponentials are summed as they are; above, float32 might overflow."""


class Question(NamedTuple):
    """What a line asks."""

    user_id: str | None
    item_id: str | None
    item_list: Sequence[str]
    filter_values: Mapping[str, str]


class BatchRecommender:
    """Answers blocks of lines. Safe to share between threads.

    Parameters
    ----------
    deployment
        The model, with the job's ``batchInferenceJobConfig``.
    filters, filter_arn
        What may be listed.
    num_results
        Length of the lists; a ranking has the length of what is ranked.
    events
        Where the live events of known users are; None: there are none. Whom it knows is asked once,
        at the beginning.
    themes
        Who names what a list has in common; None: nobody.
    """

    def __init__(
        self,
        deployment: Deployment,
        filters: ItemFilters,
        filter_arn: str | None,
        num_results: int,
        events: EventLog | None = None,
        themes: ThemeWriter | None = None,
    ):
        self._deployment, self._filters, self._filter_arn = deployment, filters, filter_arn
        self._num_results, self._themes = num_results, themes
        self._histories, self._chance = UserHistories(events, reads=False), RequestRandomness()
        self._live = set[str]()
        if events is not None:
            after = deployment.trained.get(EVENTS_UNTIL, 0)
            self._live = events.live_users(deployment.stream, after)
        self._names = json_names(deployment.model.items_.ids)
        self._exploration = ExplorationSettings.from_campaign(deployment.config)

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
                return self._recommend(self._scores_of(users))  # the usual lines, in one go
        answers: list[bytes | LineFault] = [LineFault("")] * len(lines)
        good: list[tuple[int, Question, Allowed | None]] = []
        for place, asked in enumerate(lines):
            try:
                question = self._question(asked)
                good.append((place, question, self._allowed(question)))
            except (LineFault, ServiceError) as error:
                answers[place] = LineFault(str(error))
        if good:
            questions, allowed = [each[1] for each in good], [each[2] for each in good]
            scores = self._scores(questions)
            masks = allowed if self._filter_arn else None
            if self._recipe_type == RANKING:
                texts = self._rank(questions, scores, allowed)
            elif self._themes is not None:
                texts = self._recommend_with_themes(self._themes, questions, scores, masks)
            else:
                texts = self._recommend(scores, masks)
            for (place, _, _), text in zip(good, texts, strict=True):
                answers[place] = text
        return answers

    @property
    def _recipe_type(self) -> str:
        return self._deployment.model.recipe_type

    def _question(self, asked: dict[str, Any]) -> Question:
        user_id = item_id = None
        item_list: Sequence[str] = ()
        if self._recipe_type == RELATED:
            item_id = required_text(asked, "itemId")
        else:
            user_id = required_text(asked, "userId")
        if self._recipe_type == RANKING:
            item_list = asked.get("itemList") or ()
            is_list = isinstance(item_list, list) and all(isinstance(i, str) for i in item_list)
            if not is_list or not 1 <= len(item_list) <= MOST_RANKED:
                raise LineFault(f"itemList must be a list of 1 to {MOST_RANKED} strings.")
        return Question(user_id, item_id, item_list, filter_values(asked))

    def _allowed(self, question: Question) -> Allowed | None:
        if self._filter_arn is None:
            return None
        return self._filters.allowed(
            self._deployment,
            self._filter_arn,
            question.filter_values,
            user_id=question.user_id,
            item_id=question.item_id,
        )

    def _scores(self, questions: Sequence[Question]) -> np.ndarray:
        """Return (B, items) scores, as the runtime shows and ranks them."""
        model = self._deployment.model
        if self._recipe_type == RELATED:
            codes = model.items_.encode([question.item_id for question in questions])
            if influence := self._deployment.config.get("rankingInfluence"):
                return np.stack([model.influenced(code, influence) for code in codes.tolist()])
            return model.score_related(codes)
        users = [question.user_id for question in questions]
        if self._recipe_type == RANKING:
            return model.score(self._pasts(users))
        return self._scores_of(users)

    def _scores_of(self, user_ids: Sequence[str]) -> np.ndarray:
        """Return (B, items) scores of users, as their recommendations show and rank them."""
        model, histories = self._deployment.model, self._pasts(user_ids)
        scores = model.score(histories)
        return offered_scores(model, scores, histories, self._exploration, self._chance)

    def _pasts(self, user_ids: Sequence[str]) -> list[History]:
        """Return users' pasts; the event log is asked only about users whom it knows."""
        pasts = self._deployment.model.histories(user_ids)
        for place, user_id in enumerate(user_ids):
            if user_id in self._live:
                pasts[place] = self._histories.state(self._deployment, user_id).history
        return pasts

    def _best(self, scores: np.ndarray, allowed: Sequence[Allowed] | None) -> np.ndarray:
        """Return (B, k) codes of the best items, ``NOTHING`` where there are no more."""
        if allowed is not None:
            items = self._deployment.model.items_
            masks = np.stack([each.of_model(items) for each in allowed])
            scores = np.where(masks, scores, -np.inf)
        return top_k_matrix(scores, self._num_results)

    def _recommend(
        self, scores: np.ndarray, allowed: Sequence[Allowed] | None = None
    ) -> list[bytes]:
        model = self._deployment.model
        codes = self._best(scores, allowed)
        lengths = (codes != NOTHING).sum(axis=1).tolist()
        names = self._names[np.maximum(codes, 0)].tolist()
        items = [b",".join(row[:length]) for row, length in zip(names, lengths, strict=True)]
        if not model.has_scores:
            return [b'{"recommendedItems":[%b]}' % row for row in items]
        numbers = json_numbers(shares_of(scores, codes, best_first=allowed is None), lengths)
        return [
            b'{"recommendedItems":[%b],"scores":[%b]}' % both
            for both in zip(items, numbers, strict=True)
        ]

    def _recommend_with_themes(
        self,
        themes: ThemeWriter,
        questions: Sequence[Question],
        scores: np.ndarray,
        allowed: Sequence[Allowed] | None,
    ) -> list[bytes]:
        items, texts = self._deployment.model.items_, []
        codes = self._best(scores, allowed)
        for question, row in zip(questions, codes, strict=True):
            listed = row[row != NOTHING]
            theme = themes.theme(items.decode(listed), question.item_id)
            order = np.argsort(-theme.relevance, kind="stable")
            (numbers,) = json_numbers(theme.relevance[np.newaxis, order], [len(order)])
            texts.append(
                b'{"recommendedItems":[%b],"theme":%b,"itemsThemeRelevanceScores":[%b]}'
                % (b",".join(self._names[listed[order]]), json_bytes(theme.text), numbers)
            )
        return texts

    def _rank(
        self,
        questions: Sequence[Question],
        scores: np.ndarray,
        allowed: Sequence[Allowed | None],
    ) -> list[bytes]:
        model, texts = self._deployment.model, []
        for question, row, mask in zip(questions, scores, allowed, strict=True):
            ranked = ranked_items(model, row, question.item_list, mask)
            names = [json_bytes(item["itemId"]) for item in ranked]
            text = b'{"recommendedItems":[%b]' % b",".join(names)
            if model.has_scores:
                shown = np.array([item["score"] for item in ranked if "score" in item])
                text += b',"scores":[%b]' % json_numbers(shown[np.newaxis], [len(shown)])[0]
            texts.append(text + b"}")
        return texts


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


def json_names(ids: np.ndarray) -> np.ndarray:
    """Return (n,) identifiers as the bytes of JSON strings: each is turned into JSON once."""
    return np.array([json_bytes(identifier) for identifier in ids], object)


def json_numbers(shares: np.ndarray, lengths: Sequence[int]) -> list[bytes]:
    """Return the first numbers of each row of (B, k), of 0 to 1, with seven decimals.

    Examples
    --------
    >>> json_numbers(np.array([[0.5, 1.0], [1 / 3, 0.0]]), [2, 1])
    [b'0.5000000,1.0000000', b'0.3333333']
    """
    left = np.rint(shares * 10_000_000).astype(np.int32)
    digits = np.full((*shares.shape, NUMBER_WIDTH), ord(","), np.uint8)
    for place in (8, 7, 6, 5, 4, 3, 2, 0):
        before, left = left, left // 10
        digits[..., place] = before - 10 * left + ord("0")
    digits[..., 1] = ord(".")
    text, width = digits.tobytes(), digits[0].size
    return [
        text[row * width : row * width + max(0, length * NUMBER_WIDTH - 1)]
        for row, length in enumerate(lengths)
    ]


def open_deployment(context: ServiceContext, job: Resource, config: str = "") -> Deployment:
    """Return the model of a batch job as if a campaign served it."""
    version = context.store.require(job.body["solutionVersionArn"])
    try:
        model: Recipe = load_model(serving_folder(context.home, version), context.recipes())
    except (OSError, ValueError, ImportError) as error:
        raise JobFailed(f"The model cannot be read: {error}") from error
    group_arn = version.body["datasetGroupArn"]
    own = job.body.get(config) or {}
    return Deployment(job.arn, version.arn, group_arn, model, own, version.body)


def recommend_in_batch(context: ServiceContext, job: Job, report: Progress) -> None:
    """The job. Done again after a crash, it writes the same files once more."""
    with context.jobs.holding(job) as tx:
        asked = tx.update(job.arn, status=CREATE_IN_PROGRESS)
    report(ProgressEvent("loading the model", 0.0))
    deployment = open_deployment(context, asked, "batchInferenceJobConfig")
    filters = ItemFilters(context, GroupSnapshot(context))
    recommender = BatchRecommender(
        deployment,
        filters,
        asked.body.get("filterArn"),
        asked.body["numResults"],
        context.events if context.events.revision(deployment.stream) else None,
        theme_writer(context, asked),
    )
    answer_files(
        context, asked, report, recommender.answer, block_size=recommender.block_size, job=job
    )
    with context.jobs.finishing(job) as tx:
        tx.update(job.arn, status=ACTIVE)


def theme_writer(context: ServiceContext, job: Resource) -> ThemeWriter | None:
    """Return who writes the themes of a job, None where it wants none.

    Raises
    ------
    JobFailed
        If the input has more lines than a job with themes takes, or nothing is known of the items.
    """
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
