"""Turn the local Amazon Personalize on and off for this process.

Everything else in a notebook or a script stays what one writes for AWS: remove the one line, and it
runs there.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec, TypeVar, overload

from botocore.session import Session

from personalens.arns import DEFAULT_REGION, recipe_arn
from personalens.aws.in_process import install
from personalens.aws.operation_router import OperationRouter
from personalens.home import Home, default_home

if TYPE_CHECKING:
    from personalens.recipes.base import Recipe

P = ParamSpec("P")
R = TypeVar("R")

_active: list[Activation] = []
"""Newest last. Appending, removing and reading the end are each atomic, so it needs no lock."""


class Activation:
    """What :func:`activate` returns: a context manager and a decorator.

    Parameters
    ----------
    router
        Answers while this is the newest activation.
    """

    def __init__(self, router: OperationRouter) -> None:
        self.router = router

    @property
    def home(self) -> Home:
        """The home that the answers come from."""
        return self.router.home

    @property
    def is_on(self) -> bool:
        """Whether it was turned on and not off again; a newer activation may hide it."""
        return self in _active

    def turn_on(self) -> None:
        """Make this the newest activation. Older ones of the same home share its router."""
        install(_current_router)
        for other in _active:
            if other.home == self.home:
                other.router = self.router
        if not self.is_on:
            _active.append(self)

    def turn_off(self) -> None:
        """Let the activation before this one answer again, or AWS. Twice does no harm."""
        if self.is_on:
            _active.remove(self)

    def __enter__(self) -> Activation:
        self.turn_on()
        return self

    def __exit__(self, *_: object) -> None:
        self.turn_off()

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        """Return ``function`` so that PersonaLens is on while it runs, and only then."""
        self.turn_off()

        @functools.wraps(function)
        def run_activated(*args: P.args, **kwargs: P.kwargs) -> R:
            with Activation(self.router):
                return function(*args, **kwargs)

        return run_activated

    def __repr__(self) -> str:
        return f"<PersonaLens is {'on' if self.is_on else 'off'}, home {_shown(self.home.path)}>"


@overload
def activate(home: Callable[P, R], /) -> Callable[P, R]: ...
@overload
def activate(
    home: str | os.PathLike[str] | Home | None = None, *, quiet: bool = False
) -> Activation: ...
def activate(home=None, *, quiet=False):
    """Have this process answer boto3's Personalize clients, instead of AWS.

    Clients of ``personalize``, ``personalize-runtime`` and ``personalize-events`` are answered
    here, in every thread and whether they were made before or after. They need no credentials, and
    no region (``us-east-1`` where none is configured). While PersonaLens is on, none of their
    requests reaches a network, whatever endpoint they were given. Every other AWS service is left
    alone.

    Parameters
    ----------
    home : path or Home, optional
        The folder that holds the state: by default ``PERSONALENS_HOME``, else ``.personalens`` in
        the working tree's root.
    quiet : bool, default False
        Do not print the line that says it is on.

    Returns
    -------
    Activation
        On from the call. As a ``with`` block or a decorator (``@activate``, ``@activate(...)``) it
        is on for the block or the function only. Of several activations the newest answers.

    Raises
    ------
    OSError
        If the home cannot be written.

    Examples
    --------
    >>> import boto3, tempfile
    >>> with activate(tempfile.mkdtemp(), quiet=True):
    ...     personalize = boto3.client("personalize")
    ...     personalize.list_schemas()["schemas"]
    []
    """
    if callable(home):
        return Activation(OperationRouter(default_home().create()))(home)
    activation = Activation(OperationRouter(_resolve_home(home).create()))
    activation.turn_on()
    if not quiet:
        print(
            "PersonaLens is on: boto3's Personalize clients are answered on this machine, "
            f"home {_shown(activation.home.path)}"
        )
    return activation


def deactivate() -> None:
    """Turn every activation off: the clients made before ``activate()`` talk to AWS again."""
    _active.clear()


def is_active() -> bool:
    """Return whether this process's Personalize clients are answered here."""
    return _current_router() is not None


def current_home() -> Home:
    """Return the home of the newest activation, else the default one."""
    router = _current_router()
    return default_home() if router is None else router.home


def _shown(path: Path) -> str:
    """Return a home in the working tree as seen from here, so that a lab's output is the same on
    every machine; any other home in full."""
    here = Path.cwd()
    return os.path.relpath(path) if path.parent in (here, *here.parents) else str(path)


def _resolve_home(home: str | os.PathLike[str] | Home | None) -> Home:
    if home is None or isinstance(home, Home):
        return home or default_home()
    return Home(Path(home).expanduser().resolve())


def _current_router() -> OperationRouter | None:
    try:
        return _active[-1].router
    except IndexError:
        return None


def register(recipe: type[Recipe], *, home: Home | str | os.PathLike[str] | None = None) -> str:
    """Make a recipe from outside the package known, and return its ARN for CreateSolution.

    From then on it is a recipe like the others in this home, for every process and for good: it is
    listed and described, trained, tuned, compared by AutoML, deployed and served. Registering the
    same name again replaces it; models that it trained before are read by the new class.

    Parameters
    ----------
    recipe
        The class, imported from a file: training runs in a process of its own, which imports that
        file too. A file that has changed since is read again there.
    home
        Default: the home of the newest :func:`personalens.activate`, else the default one.

    Raises
    ------
    TypeError
        If the class is no complete recipe.
    ValueError
        If its name cannot be part of an ARN or is the service's own, or if it is defined where no
        other process can import it (a notebook's cell, a function).
    """
    # pandas and torch load with them: activating costs neither
    from personalens.storage.custom_recipes import register_recipe
    from personalens.storage.resource_store import ResourceStore

    if not isinstance(home, Home):
        home = current_home() if home is None else Home(Path(home).expanduser().resolve())
    register_recipe(ResourceStore(home.create()), recipe)
    region = Session().get_config_variable("region")  # that of the clients to come
    return recipe_arn(recipe.name, region=region or DEFAULT_REGION)
