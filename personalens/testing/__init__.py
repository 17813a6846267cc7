"""Tests that a recipe inherits, and a world so small that the right answers are known.

Needs pytest.
"""

import pytest

# So that a failing check of the contract shows the values that it compared.
pytest.register_assert_rewrite(
    "personalens.testing.recipe_contract", "personalens.testing.contracts_by_type"
)
