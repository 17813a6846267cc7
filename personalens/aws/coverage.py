"""Which operations of the three services are answered: ``python -m personalens.aws.coverage``."""

from __future__ import annotations

from personalens.aws.operation_router import load_provider_class
from personalens.aws.service_models import SERVICES, operations


def operation_coverage() -> dict[str, dict[str, bool]]:
    """Return, for each service, whether each operation of its model is implemented.

    >>> list(operation_coverage())
    ['personalize', 'personalize-runtime', 'personalize-events']
    """
    coverage = {}
    for service in SERVICES:
        provider = load_provider_class(service)
        coverage[service] = {
            name: hasattr(provider, operation.method)
            for name, operation in operations(service).items()
        }
    return coverage


def coverage_report() -> str:
    """Return the coverage as text, one operation a line."""
    lines = []
    for service, answered in operation_coverage().items():
        lines.append(f"{service}: {sum(answered.values())} of {len(answered)} operations")
        lines += [
            f"  {'yes' if is_there else 'no ':3} {name}" for name, is_there in answered.items()
        ]
    return "\n".join(lines)


if __name__ == "__main__":
    print(coverage_report())
