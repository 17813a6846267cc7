"""Which operations of the three services are answered, and which tests call them.

``python -m tests.aws.coverage`` prints the page, with ``--write`` it replaces ``COVERAGE.md``
beside this module. The operations and the errors that they declare come from botocore's models, the
notes from the docstrings of the methods that answer, and "tested" from the calls that stand in the
tests' own code: a name in a string or in a generated request counts for nothing.
"""

from __future__ import annotations

import argparse
import ast
import inspect
from collections.abc import Iterator
from pathlib import Path

from personalens.aws.operation_router import load_provider_class
from personalens.aws.service_models import SERVICES, Operation, operations

PAGE = Path(__file__).with_name("COVERAGE.md")
TESTS = Path(__file__).resolve().parents[1]
_WITH_STAND_INS = "aws"

_HEAD = """\
# Coverage

The operations of Amazon Personalize, as botocore {botocore} describes them, and what of them is
answered here. Written by `python -m tests.aws.coverage --write`; a test fails when this page
is stale. "Tested in" names the folders of `tests/` in which a test calls the operation; `tests/aws`
is left out, for stand-ins answer there. The errors are those that the service declares for it:
`tests/contract/test_declared_errors.py` provokes each one that can be provoked on one machine and
gives the reason for the others.
"""


def operation_coverage() -> dict[str, dict[str, bool]]:
    """Return, for each service, whether each operation of its model is implemented.

    >>> list(operation_coverage())
    ['personalize', 'personalize-runtime', 'personalize-events']
    """
    return {
        service: {name: _answer(operation) is not None for name, operation in found.items()}
        for service, found in ((service, operations(service)) for service in SERVICES)
    }


def folders_that_call(tests: Path = TESTS) -> dict[str, set[str]]:
    """Return, by the name that boto3 gives a method, the folders of tests in which it is called."""
    methods = {o.method for service in SERVICES for o in operations(service).values()}
    folders: dict[str, set[str]] = {method: set() for method in methods}
    for path in sorted(tests.glob("*/**/*.py")):
        folder = path.relative_to(tests).parts[0]
        if folder != _WITH_STAND_INS:
            for method in _called_methods(path) & methods:
                folders[method].add(folder)
    return folders


def coverage_page() -> str:
    """Return the page as Markdown, the same for the same code and tests."""
    import botocore

    tested = folders_that_call()
    parts = [_HEAD.format(botocore=botocore.__version__)]
    for service, answered in operation_coverage().items():
        called = sum(bool(tested[o.method]) for o in operations(service).values())
        parts.append(
            f"\n## {service}\n\n{sum(answered.values())} of {len(answered)} operations are "
            f"implemented, {called} are called by a test.\n\n"
            "| Operation | Implemented | Tested in | Errors | Note |\n"
            "| --- | --- | --- | --- | --- |\n"
        )
        for name, operation in operations(service).items():
            folders = ", ".join(sorted(tested[operation.method])) or "nowhere"
            errors = ", ".join(error.name.removesuffix("Exception") for error in _errors(operation))
            done = "yes" if answered[name] else "no"
            parts.append(f"| {name} | {done} | {folders} | {errors} | {_note(operation)} |\n")
    return "".join(parts)


def _answer(operation: Operation) -> object | None:
    return getattr(load_provider_class(operation.service), operation.method, None)


def _errors(operation: Operation) -> list:
    return sorted(operation.model.error_shapes, key=lambda shape: shape.name)


def _note(operation: Operation) -> str:
    """Return the first sentences of the docstring of the method that answers."""
    text = inspect.getdoc(_answer(operation)) or ""
    return " ".join(text.partition("\n\n")[0].split()).replace("``", "`").replace("|", "\\|")


def _called_methods(path: Path) -> set[str]:
    return set(_walk_calls(ast.parse(path.read_text(encoding="utf-8"))))


def _walk_calls(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            yield node.func.attr


def main() -> None:
    """Print the page, or write it."""
    parser = argparse.ArgumentParser(description="Which operations are answered and tested.")
    parser.add_argument("--write", action="store_true", help=f"replace {PAGE.name}")
    if parser.parse_args().write:
        PAGE.write_text(coverage_page(), encoding="utf-8")
    else:
        print(coverage_page(), end="")


if __name__ == "__main__":
    main()
