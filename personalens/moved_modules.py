"""Modules by the names that they once had: homes, copied notebooks and recipes of others hold them.

A home stores a recipe as "module:class", and a recipe from outside the package imports what it
needs. Both outlive a move of a file, so an old name leads to the module as it is called now.
"""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.machinery import ModuleSpec
from types import ModuleType

MOVED = {
    "personalens.aws.gateway": "personalens.aws.operation_router",
    "personalens.control.kinds": "personalens.control.operations.kinds",
    "personalens.control.model_search": "personalens.control.work.search",
    "personalens.control.schemas": "personalens.control.operations.dataset_groups",
    "personalens.datasets.film_world": "personalens.film_world.world",
    "personalens.datasets.histories": "personalens.datasets.interactions",
    "personalens.datasets.registry": "personalens.datasets.releases",
    "personalens.evaluation.rating_baselines": "personalens.ratings.rating_evaluation",
    "personalens.evaluation.rating_splits": "personalens.ratings.rating_evaluation",
    "personalens.evaluation.top_k": "personalens.evaluation.ranking_metrics",
    "personalens.networks.dropout": "personalens.networks.session_network",
    "personalens.networks.feature_vectors": "personalens.networks.session_network",
    "personalens.networks.history_fields": "personalens.networks.feed_forward",
    "personalens.networks.item_vectors": "personalens.networks.session_network",
    "personalens.networks.recent_means": "personalens.networks.session_network",
    "personalens.networks.recurrent_encoder": "personalens.networks.session_network",
    "personalens.notebook.plots.rating_plots": "personalens.notebook.plots.model_plots",
    "personalens.notebook.rating_plots": "personalens.notebook.plots.model_plots",
    "personalens.notebook.staging": "personalens.notebook.lab_data",
    "personalens.recipes.catalog": "personalens.recipes.registry",
    "personalens.recipes.deep_fm": "personalens.recipes.field_recipes",
    "personalens.recipes.ffnn": "personalens.recipes.field_recipes",
    "personalens.recipes.hrnn_metadata": "personalens.recipes.hrnn",
    "personalens.recipes.percentile_filtering": "personalens.recipes.hyperparameters",
    "personalens.recipes.personalized_ranking_v2": "personalens.recipes.personalized_ranking",
    "personalens.recipes.rating_comparators": "personalens.ratings.rating_comparators",
    "personalens.recipes.rating_head": "personalens.ratings.rating_head",
    "personalens.recipes.related_items": "personalens.recipes.item_neighbours",
    "personalens.recipes.segmentation": "personalens.recipes.item_affinity",
    "personalens.recipes.value_codes": "personalens.recipes.event_reader",
    "personalens.runtime.candidate_ranking": "personalens.runtime.answering",
    "personalens.runtime.promotions": "personalens.runtime.answering",
    "personalens.testing.action_contract": "personalens.testing.contracts_by_type",
    "personalens.testing.segment_contract": "personalens.testing.contracts_by_type",
    "personalens.training.distributed": "personalens.training.devices",
    "personalens.training.loop": "personalens.training.trainer",
    "personalens.training.progress": "personalens.progress",
}


class _MovedModules:
    """Finds a module under its old name: the very module, not a copy."""

    def find_spec(self, fullname: str, *_: object) -> ModuleSpec | None:
        return ModuleSpec(fullname, self) if fullname in MOVED else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        module = import_module(MOVED[spec.name])
        spec.loader_state = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        asked = module.__spec__  # the import system has just put the old name there
        if asked is not None:
            module.__spec__ = asked.loader_state


def install() -> None:
    """Let imports find the modules of :data:`MOVED`."""
    if not any(isinstance(finder, _MovedModules) for finder in sys.meta_path):
        sys.meta_path.append(_MovedModules())
