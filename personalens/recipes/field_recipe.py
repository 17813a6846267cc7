"""What aws-deepfm and aws-ffnn have in common: a user is read as fields of fixed width."""

from __future__ import annotations

from personalens.datasets.interactions import Interactions
from personalens.recipes.hyperparameters import hyperparameter
from personalens.recipes.percentile_filtering import HistoryLengths
from personalens.recipes.session_recipe import SessionRecipe


class FieldConfig(HistoryLengths):
    """Sizes of a deep network over fields.

    The service never published hyperparameters of these recipes. The names, defaults and ranges are
    PersonaLens's own: the widths, depths and dropout rates that Guo et al. (2017) compare.
    """

    hidden_layers: int = hyperparameter(
        2, "Layers of the deep network; each is half as wide as the one below.", ge=1, le=4
    )
    dropout: float = hyperparameter(
        0.3,
        "Share of the deep network's units that is left out at a training step.",
        tunable=True,
        ge=0.0,
        le=0.8,
    )

    @property
    def hidden_sizes(self) -> tuple[int, ...]:
        """Widths of the layers."""
        return tuple(max(1, self.hidden_dimension >> layer) for layer in range(self.hidden_layers))


class FieldRecipe(SessionRecipe):
    """Predict the next item from fields that follow no order.

    The fields of a user are averages of the vectors of what they had, over memories of several
    lengths (from the last item alone to about a hundred), the circumstances of the last event
    (pause, rating, event type, context), and what is known of the request: its context and the
    user's metadata. A user has no vector of their own, so new users and events need no training. An
    item is its own vector and bias plus those of its metadata; items of the items table that nobody
    has had are their metadata alone.
    """

    recipe_type = "USER_PERSONALIZATION"
    reads_metadata = True
    has_cold_items = True
    keeps_context = True
    keeps_users = True

    def _training_events(self, interactions: Interactions) -> Interactions:
        return self.config.training_events(interactions)
