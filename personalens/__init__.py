"""PersonaLens: a lab kit for personalisation on a local Amazon Personalize.

Examples
--------
>>> import personalens
>>> personalens.__version__
'0.1.0'

The public names are imported when they are first used, so that ``import personalens`` costs
nothing: torch and pandas load with the first model and the first table.
"""

from __future__ import annotations

from importlib import import_module

from personalens import moved_modules

TYPE_CHECKING = False  # type checkers take it for typing's, whose import would cost 10 ms
if TYPE_CHECKING:
    from personalens import datasets, ingest
    from personalens.activation import activate, deactivate, register
    from personalens.home import Home, default_home
    from personalens.notebook.lab_data import stage
    from personalens.notebook.lab_session import LabSession
    from personalens.notebook.progress import wait
    from personalens.notebook.training_log import search_log, training_log
    from personalens.ratings.rating_head import RatingHRNN
    from personalens.recipes.hrnn import HRNN
    from personalens.recipes.popularity_count import PopularityCount
    from personalens.recipes.sims import SIMS

__version__ = "0.1.0"

moved_modules.install()

__all__ = [
    "HRNN",
    "SIMS",
    "Home",
    "LabSession",
    "PopularityCount",
    "RatingHRNN",
    "activate",
    "datasets",
    "deactivate",
    "default_home",
    "ingest",
    "register",
    "search_log",
    "stage",
    "training_log",
    "wait",
]

_MODULES = {
    "HRNN": "personalens.recipes.hrnn",
    "Home": "personalens.home",
    "LabSession": "personalens.notebook.lab_session",
    "PopularityCount": "personalens.recipes.popularity_count",
    "RatingHRNN": "personalens.ratings.rating_head",
    "SIMS": "personalens.recipes.sims",
    "activate": "personalens.activation",
    "deactivate": "personalens.activation",
    "default_home": "personalens.home",
    "register": "personalens.activation",
    "search_log": "personalens.notebook.training_log",
    "stage": "personalens.notebook.lab_data",
    "training_log": "personalens.notebook.training_log",
    "wait": "personalens.notebook.progress",
}


def __getattr__(name: str) -> object:
    """Import a public name, or one of the modules that are named so, on first use."""
    if name in ("datasets", "ingest"):
        return import_module(f"personalens.{name}")
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_MODULES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
