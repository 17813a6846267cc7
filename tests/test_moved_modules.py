"""Old names of modules lead to the modules of now."""

import importlib
import subprocess
import sys

import pytest

from personalens.moved_modules import MOVED


@pytest.mark.parametrize(("old", "new"), MOVED.items())
def test_an_old_name_is_the_very_module(old, new):
    assert importlib.import_module(old) is importlib.import_module(new)
    assert importlib.import_module(new).__spec__.name == new


@pytest.mark.parametrize("order", ["old first", "new first"])
def test_the_order_of_imports_does_not_matter(order):
    names = ["personalens.recipes.rating_head", "personalens.ratings.rating_head"]
    first, second = names if order == "old first" else reversed(names)
    code = f"import {first} as a, {second} as b; assert a.RatingHRNN is b.RatingHRNN"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_what_never_was_is_not_found():
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("personalens.recipes.never_was")
