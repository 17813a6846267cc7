"""What every recipe has in common: typed hyperparameters, fit, score, recommend, save, load.

A recipe's author writes a config class and ``_fit``, ``_score`` (or ``_score_related``),
``_tensors`` and ``_restore``; identifiers, unknown users and items, empty histories, top-k and the
file format are handled here.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field
from safetensors.numpy import load_file, save_file

from personalens.datasets.histories import History, histories_of
from personalens.datasets.id_maps import IdMap
from personalens.datasets.interactions import ITEM_ID, USER_ID, Interactions
from personalens.evaluation.top_k import top_k
from personalens.training.progress import Progress, ignore_progress

__all__ = [
    "RANK",
    "SCORE",
    "History",
    "Recipe",
    "RecipeConfig",
    "RecipeType",
    "histories_of",
    "hyperparameter",
    "top_k",
]

SCORE, RANK = "SCORE", "RANK"
RecipeType = Literal[
    "USER_PERSONALIZATION", "POPULAR_ITEMS", "PERSONALIZED_RANKING", "RELATED_ITEMS"
]


def hyperparameter(
    default: Any,
    description: str,
    *,
    tunable: bool = False,
    group: Literal["algorithm", "featureTransformation"] = "algorithm",
    **bounds: Any,
) -> Any:
    """Declare a hyperparameter: default, range (``ge=``, ``le=``), whether HPO may tune it, and
    whether the service takes it in algorithmHyperParameters or featureTransformationParameters."""
    extra = {"tunable": tunable, "group": group}
    return Field(default=default, description=description, json_schema_extra=extra, **bounds)


class RecipeConfig(BaseModel):
    """Base of all configs. Accepts the service's strings (``{"bptt": "32"}``); unknown keys and
    values out of range raise pydantic's ValidationError, which names key, value and range."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Recipe(ABC):
    """Base of all recipes.

    Parameters
    ----------
    config
        The recipe's config; or give its fields as keyword arguments.
    seed
        Same data, config and seed give the same model on the same machine.
    device
        "auto", "cpu" or "cuda". The CPU is always right.

    Attributes
    ----------
    items_
        Vocabulary of the model: the items that occur in the training interactions.
    interactions_
        The training interactions: the histories that ``recommend`` starts from.
    training_log_
        One dict per epoch (epoch, loss, validation figure, seconds); empty without epochs.
    """

    name: ClassVar[str]
    """The service's recipe name, such as ``aws-hrnn``."""
    recipe_type: ClassVar[RecipeType]
    Config: ClassVar[type[RecipeConfig]] = RecipeConfig
    has_scores: ClassVar[bool] = False
    """Whether GetRecommendations carries scores: a softmax of ``score`` over the catalogue."""

    def __init__(
        self,
        config: RecipeConfig | None = None,
        *,
        seed: int = 0,
        device: str = "auto",
        **hyperparameters: Any,
    ):
        if config is not None and hyperparameters:
            raise TypeError("give a config or hyperparameters, not both")
        self.config = config if config is not None else self.Config(**hyperparameters)
        self.seed = seed
        self.device = device
        self.items_: IdMap | None = None
        self.interactions_: Interactions | None = None
        self.training_log_: list[dict[str, float]] = []

    # -- what a recipe's author writes -------------------------------------------------------

    @abstractmethod
    def _fit(
        self,
        interactions: Interactions,
        items: pd.DataFrame | None,
        users: pd.DataFrame | None,
        progress: Progress,
        refit: bool,
    ) -> None:
        """Learn. ``interactions`` is not empty and its vocabularies have no unused entries."""

    def _score(self, histories: Sequence[History]) -> np.ndarray:
        """Return (len(histories), len(items_)) float32: higher is better. An empty history is a
        new user. Required unless ``recipe_type`` is RELATED_ITEMS."""
        raise NotImplementedError(f"{self.name} does not score users")

    def _score_related(self, item_codes: np.ndarray) -> np.ndarray:
        """Return (len(item_codes), len(items_)) float32: higher is more related; -inf leaves out.
        A code of -1 is an unknown item. Required for RELATED_ITEMS."""
        raise NotImplementedError(f"{self.name} does not score related items")

    @abstractmethod
    def _tensors(self) -> dict[str, np.ndarray]:
        """Return what ``_restore`` needs, as arrays."""

    @abstractmethod
    def _restore(self, tensors: dict[str, np.ndarray]) -> None:
        """Take back what ``_tensors`` gave; ``items_`` and ``interactions_`` are set already."""

    # -- what everybody calls ----------------------------------------------------------------

    def fit(
        self,
        interactions: Interactions | pd.DataFrame,
        *,
        items: pd.DataFrame | None = None,
        users: pd.DataFrame | None = None,
        progress: Progress = ignore_progress,
        refit: bool = True,
    ) -> Self:
        """Train and return self.

        Parameters
        ----------
        interactions
            Events; a table with USER_ID, ITEM_ID, TIMESTAMP is accepted too.
        items, users
            Metadata tables with ITEM_ID or USER_ID and further columns; used by recipes that take
            them.
        progress
            Called with each report; may raise :class:`~personalens.training.progress.Cancelled`.
        refit
            For recipes that stop early on a validation hold-out: whether to train once more on
            everything for the number of epochs found.

        Raises
        ------
        ValueError
            If there are no interactions.
        """
        if isinstance(interactions, pd.DataFrame):
            interactions = Interactions.from_frame(interactions)
        if not len(interactions):
            raise ValueError("there are no interactions to learn from")
        interactions = interactions.compact()
        self.items_, self.interactions_ = interactions.items, interactions
        self._fit(interactions, items, users, progress, refit)
        return self

    def refit(
        self,
        interactions: Interactions | pd.DataFrame,
        *,
        items: pd.DataFrame | None = None,
        users: pd.DataFrame | None = None,
        progress: Progress = ignore_progress,
    ) -> Self:
        """Return a new model of the same kind trained on other data, reusing what this fit found
        (the number of epochs, say) instead of searching again. Default: a plain fit."""
        fresh = type(self)(self.config, seed=self.seed, device=self.device)
        return fresh.fit(interactions, items=items, users=users, progress=progress)

    def score(self, histories: Sequence[History]) -> np.ndarray:
        """Return (len(histories), len(items_)) float32, higher is better."""
        self._check_fitted()
        return self._score(histories)

    def score_related(self, item_codes: np.ndarray) -> np.ndarray:
        """Return (len(item_codes), len(items_)) float32; code -1 is an unknown item."""
        self._check_fitted()
        return self._score_related(np.asarray(item_codes))

    def history(self, user_id: str) -> History:
        """Return a user's training history; an unknown user has an empty one."""
        self._check_fitted()
        code = self.interactions_.users.code(user_id)
        return History.empty() if code < 0 else histories_of(self.interactions_, [code])[0]

    def recommend(
        self, users: Sequence[str], *, k: int = 25, exclude_seen: bool = False
    ) -> pd.DataFrame:
        """Return the best ``k`` items for each user: USER_ID, ITEM_ID, SCORE, RANK (from 1).

        Items that the user has had are kept, as in the service, unless ``exclude_seen``.
        """
        histories = [self.history(str(user)) for user in users]
        scores = np.array(self.score(histories), copy=True)
        if exclude_seen:
            for row, past in enumerate(histories):
                scores[row, past.item_codes] = -np.inf
        return self._table(USER_ID, [str(user) for user in users], scores, k)

    def similar(self, items: Sequence[str], *, k: int = 25) -> pd.DataFrame:
        """Return the ``k`` items most related to each: QUERY_ITEM_ID, ITEM_ID, SCORE, RANK."""
        self._check_fitted()
        codes = self.items_.encode([str(item) for item in items])
        return self._table("QUERY_ITEM_ID", list(items), self.score_related(codes), k)

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write the model as config.json, ids.json and weights.safetensors; all or nothing.

        Raises
        ------
        FileExistsError
            If ``folder`` exists.
        """
        self._check_fitted()
        target = Path(folder)
        if target.exists():
            raise FileExistsError(f"{target} exists; choose another folder or delete it")
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
        try:
            events = self.interactions_
            config = {
                "recipe": self.name,
                "config": self.config.model_dump(mode="json"),
                "seed": self.seed,
                "training_log": self.training_log_,
            }
            ids = {"items": list(self.items_.ids), "users": list(events.users.ids)}
            arrays = {f"model.{name}": array for name, array in self._tensors().items()}
            arrays["history.users"] = events.user_codes
            arrays["history.items"] = events.item_codes
            arrays["history.timestamps"] = events.timestamps
            if events.event_values is not None:
                arrays["history.values"] = events.event_values
            arrays = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
            _write_json(partial / "config.json", config)
            _write_json(partial / "ids.json", ids)
            save_file(arrays, partial / "weights.safetensors")
            _sync(partial / "weights.safetensors")
            os.replace(partial, target)
            _sync(target.parent)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise

    @classmethod
    def load(cls, folder: str | os.PathLike[str], *, device: str = "auto") -> Self:
        """Read a model that :meth:`save` wrote. Raises ValueError for another recipe's folder."""
        source = Path(folder)
        config = json.loads((source / "config.json").read_text(encoding="utf-8"))
        if config["recipe"] != cls.name:
            raise ValueError(f"{source} holds a {config['recipe']} model, not {cls.name}")
        ids = json.loads((source / "ids.json").read_text(encoding="utf-8"))
        arrays = load_file(source / "weights.safetensors")
        model = cls(cls.Config(**config["config"]), seed=config["seed"], device=device)
        model.training_log_ = config["training_log"]
        model.items_ = IdMap(ids["items"])
        model.interactions_ = Interactions(
            users=IdMap(ids["users"]),
            items=model.items_,
            user_codes=arrays["history.users"],
            item_codes=arrays["history.items"],
            timestamps=arrays["history.timestamps"],
            event_values=arrays.get("history.values"),
        )
        prefix = "model."
        tensors = {n.removeprefix(prefix): a for n, a in arrays.items() if n.startswith(prefix)}
        model._restore(tensors)
        return model

    def _check_fitted(self) -> None:
        if self.items_ is None or self.interactions_ is None:
            raise RuntimeError(f"this {self.name} model has not been trained: call fit() first")

    def _table(self, key: str, queries: list[str], scores: np.ndarray, k: int) -> pd.DataFrame:
        best = top_k(scores, k)
        rows = [(row, code) for row, codes in enumerate(best) for code in codes]
        query_rows = np.array([row for row, _ in rows], dtype=np.int64)
        codes = np.array([code for _, code in rows], dtype=np.int64)
        return pd.DataFrame(
            {
                key: [queries[row] for row in query_rows],
                ITEM_ID: self.items_.decode(codes),
                SCORE: scores[query_rows, codes],
                RANK: [rank for codes in best for rank in range(1, len(codes) + 1)],
            }
        )


def _write_json(path: Path, content: dict[str, Any]) -> None:
    with path.open("w", encoding="utf-8") as file:
        json.dump(content, file, ensure_ascii=False, indent=1)
        file.flush()
        os.fsync(file.fileno())


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
