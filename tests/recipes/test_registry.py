"""The catalogue against the facts of the service, and its messages."""

import subprocess
import sys

import pytest

from personalens.recipes import registry
from personalens.recipes.base import Recipe
from personalens.recipes.hyperparameters import config_strings


def test_every_entry_leads_to_its_recipe():
    for name, entry in registry.RECIPES.items():
        assert issubclass(entry.recipe, Recipe)
        assert entry.name == entry.recipe.name == name
        assert entry.config is entry.recipe.Config
        assert entry.recipe.description


@pytest.mark.parametrize(
    ("name", "recipe_type", "algorithm", "feature_transformation"),
    [
        ("aws-deepfm", "USER_PERSONALIZATION", "aws-deepfm", "JSON-percentile-filtering"),
        ("aws-ffnn", "USER_PERSONALIZATION", "aws-ffnn", "JSON-percentile-filtering"),
        ("aws-hrnn", "USER_PERSONALIZATION", "aws-hrnn", "JSON-percentile-filtering"),
        ("aws-popularity-count", "POPULAR_ITEMS", "aws-popularity-count", "sims"),
        ("aws-sims", "RELATED_ITEMS", "aws-sims", "sims"),
        ("aws-hrnn-metadata", "USER_PERSONALIZATION", "aws-hrnn-metadata", "featurize_metadata"),
        ("aws-hrnn-coldstart", "USER_PERSONALIZATION", "aws-hrnn-coldstart", "featurize_coldstart"),
        ("aws-trending-now", "POPULAR_ITEMS", "aws-trending-now-custom", "trending-now"),
        (
            "aws-next-best-action",
            "PERSONALIZED_ACTIONS",
            "aws-next-best-action",
            "next-best-action",
        ),
        ("aws-item-affinity", "USER_SEGMENTATION", "aws-item-affinity", "item-affinity"),
    ],
)
def test_names_of_the_service(name, recipe_type, algorithm, feature_transformation):
    entry = registry.get(name)
    assert entry.recipe_type == recipe_type
    assert (entry.algorithm, entry.feature_transformation) == (algorithm, feature_transformation)


HISTORY_LENGTH = [
    ("min_user_history_length_percentile", "featureTransformation", "continuous", 0, 1, False),
    ("max_user_history_length_percentile", "featureTransformation", "continuous", 0, 1, False),
]
RECURRENT = [
    ("hidden_dimension", "algorithm", "integer", 32, 256, True),
    ("bptt", "algorithm", "integer", 2, 32, True),
    ("recency_mask", "algorithm", "categorical", None, None, True),
    *HISTORY_LENGTH,
]
SECOND_VERSION = [("apply_recency_bias", "algorithm", "categorical", None, None, False)]
FACTS = {
    "aws-hrnn": RECURRENT,
    "aws-hrnn-metadata": RECURRENT,
    "aws-hrnn-coldstart": [
        *RECURRENT,
        ("cold_start_max_interactions", "featureTransformation", "integer", 1, None, False),
        ("cold_start_max_duration", "featureTransformation", "continuous", None, None, False),
        ("cold_start_relative_from", "featureTransformation", "categorical", None, None, False),
    ],
    "aws-user-personalization": RECURRENT,
    "aws-personalized-ranking": RECURRENT,
    "aws-sims": [
        ("popularity_discount_factor", "algorithm", "continuous", 0, 1, True),
        ("min_cointeraction_count", "algorithm", "integer", 0, 10, True),
        *HISTORY_LENGTH,
        ("min_item_interaction_count_percentile", *HISTORY_LENGTH[0][1:]),
        ("max_item_interaction_count_percentile", *HISTORY_LENGTH[0][1:]),
    ],
    "aws-popularity-count": [],
    "aws-semantic-similarity": [],
    "aws-similar-items": [
        ("popularity_discount_factor", "algorithm", "continuous", 0, 1, False),
        ("item_id_hidden_dim", "algorithm", "integer", 30, 200, True),
        ("item_metadata_hidden_dim", "algorithm", "integer", 30, 200, True),
    ],
    "aws-trending-now": [
        ("trend_discovery_frequency", "featureTransformation", "categorical", None, None, False)
    ],
    "aws-user-personalization-v2": SECOND_VERSION,
    "aws-personalized-ranking-v2": SECOND_VERSION,
    "aws-next-best-action": [
        ("action_optimization_period", "featureTransformation", "integer", 7, 28, False)
    ],
    "aws-item-affinity": [("hidden_dimension", "algorithm", "integer", 32, 256, False)],
    "aws-item-attribute-affinity": [("hidden_dimension", "algorithm", "integer", 32, 256, False)],
}
DEFAULTS = {
    "aws-hrnn": ["43", "32", "true", "0.0", "0.99"],
    "aws-hrnn-metadata": ["43", "32", "true", "0.0", "0.99"],
    "aws-hrnn-coldstart": ["149", "32", "true", "0.0", "0.99", "15", "5.0", "latestItem"],
    "aws-user-personalization": ["149", "32", "true", "0.0", "0.99"],
    "aws-personalized-ranking": ["149", "32", "true", "0.0", "0.99"],
    "aws-sims": ["0.5", "3", "0.005", "0.995", "0.01", "0.9"],
    "aws-popularity-count": [],
    "aws-semantic-similarity": [],
    "aws-similar-items": ["0.0", "100", "100"],
    "aws-trending-now": ["2 hours"],
    "aws-user-personalization-v2": ["true"],
    "aws-personalized-ranking-v2": ["true"],
    "aws-next-best-action": ["14"],
    "aws-item-affinity": ["149"],
    "aws-item-attribute-affinity": ["149"],
}


@pytest.mark.parametrize("name", FACTS)
def test_hyperparameters_of_the_service(name):
    table = registry.get(name).hyperparameters()
    facts = [(r.name, r.group, r.kind, r.minimum, r.maximum, r.tunable) for r in table]
    assert sorted(facts) == sorted(FACTS[name])
    defaults = {row.name: row.default for row in table}
    assert [defaults[fact[0]] for fact in FACTS[name]] == DEFAULTS[name]


def test_a_switch_has_two_values():
    table = {row.name: row for row in registry.get("aws-hrnn").hyperparameters()}
    assert table["recency_mask"].values == ("true", "false")


def test_strings_become_a_config_and_back():
    entry = registry.get("aws-sims")
    config = entry.parse(
        {"min_cointeraction_count": "5"}, {"max_item_interaction_count_percentile": "1"}
    )
    assert (config.min_cointeraction_count, config.popularity_discount_factor) == (5, 0.5)
    strings = config_strings(config)
    assert strings["max_item_interaction_count_percentile"] == "1.0"
    assert entry.config(**strings) == config


@pytest.mark.parametrize(
    ("algorithm", "feature_transformation", "message"),
    [
        ({"bptt": "3"}, {}, "no parameter 'bptt' in algorithmHyperParameters (allowed: popul"),
        (
            {"max_user_history_length_percentile": "1"},
            {},
            "It belongs in featureTransformationParameters.",
        ),
        ({"min_cointeraction_count": "11"}, {}, "min_cointeraction_count is '11': must be at most"),
        ({"min_cointeraction_count": "2.5"}, {}, "must be a whole number"),
        ({"min_cointeraction_count": "1_0"}, {}, "must be a whole number"),
        ({"popularity_discount_factor": "half"}, {}, "is 'half': must be a number"),
        ({"popularity_discount_factor": "-0.1"}, {}, "must be at least 0"),
        ({"popularity_discount_factor": "nan"}, {}, "is 'nan'"),
        (
            {},
            {"min_user_history_length_percentile": "0.999"},
            "min_user_history_length_percentile 0.999 is above max_user_history_length_percentile",
        ),
    ],
)
def test_mistakes_are_named(algorithm, feature_transformation, message):
    with pytest.raises(ValueError) as caught:
        registry.get("aws-sims").parse(algorithm, feature_transformation)
    assert message in str(caught.value)


def test_what_only_hpo_may_choose_cannot_be_set():
    entry = registry.get("aws-similar-items")
    with pytest.raises(ValueError, match="takes item_id_hidden_dim through a range in hpoConfig"):
        entry.parse({"item_id_hidden_dim": "64"})
    assert entry.config(**{"item_id_hidden_dim": "64"}).item_id_hidden_dim == 64


def test_a_recipe_without_hyperparameters_says_so():
    with pytest.raises(ValueError, match=r"no parameter 'x' .* \(none is allowed\)"):
        registry.get("aws-popularity-count").parse({"x": "1"})


def test_an_unknown_recipe_is_answered_with_the_known_ones():
    with pytest.raises(
        KeyError, match=r"'aws-nothing'; choose aws-.*aws-hrnn, aws-popularity-count"
    ):
        registry.get("aws-nothing")


def test_listing_and_describing_recipes_does_not_load_torch():
    code = (
        "import sys; from personalens.recipes import registry; "
        "[entry.hyperparameters() for entry in registry.RECIPES.values()]; "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
