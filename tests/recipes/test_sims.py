from personalens.recipes.sims import SIMS
from personalens.testing.recipe_contract import RelatedItemsContract


class TestSIMS(RelatedItemsContract):
    recipe = SIMS
    floor = 0.95
