"""Amazon Resource Names of Personalize's resources: build them, take them apart.

A resource is known by its ARN alone, and names are unique per account and region *by ARN*: two
dataset groups cannot each own a solution of the same name. Three kinds do not end in the name the
caller chose: a dataset's ARN holds its group and its type, a solution version's the solution and
eight hex digits, an event tracker's eight hex digits only. Recipes, algorithms and feature
transformations belong to AWS and carry neither region nor account. All carry the partition of the
region: ``aws-cn`` in China, ``aws-us-gov`` in GovCloud.

Amazon Personalize: every ``...Arn`` member of the three APIs.

Examples
--------
>>> arn = build("solution", "films", region="us-east-1", account="123456789012")
>>> arn
'arn:aws:personalize:us-east-1:123456789012:solution/films'
>>> parse(arn).kind
'solution'
>>> parse(arn + "/0a1b2c3d").kind
'solution-version'
>>> recipe_arn("aws-hrnn")
'arn:aws:personalize:::recipe/aws-hrnn'
>>> recipe_arn("aws-hrnn", region="cn-north-1")
'arn:aws-cn:personalize:::recipe/aws-hrnn'
"""

from __future__ import annotations

import os
import re
import secrets
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from typing import Any

from personalens.service_errors import InvalidInputException

ACCOUNT_VARIABLE = "PERSONALENS_ACCOUNT_ID"
DEFAULT_ACCOUNT = "123456789012"
DEFAULT_REGION = "us-east-1"
LATEST = "$LATEST"
MAX_LENGTH = 256

NAMED_KINDS = frozenset(
    {
        "schema",
        "dataset-group",
        "dataset-import-job",
        "dataset-export-job",
        "data-deletion-job",
        "solution",
        "campaign",
        "recommender",
        "filter",
        "batch-inference-job",
        "batch-segment-job",
        "metric-attribution",
    }
)
"""Kinds whose ARN ends in the name that the caller gave."""

AWS_KINDS = frozenset({"recipe", "algorithm", "feature-transformation"})
"""Kinds that AWS owns: no region, no account."""

KINDS = NAMED_KINDS | AWS_KINDS | {"dataset", "solution-version", "event-tracker"}

_SHAPE = re.compile(
    r"arn:(?P<partition>[a-z\d-]+):personalize:(?P<region>[^:]*):(?P<account>[^:]*):"
    r"(?P<type>[a-z-]+)/(?P<path>.+)",
    re.DOTALL,
)


@dataclass(frozen=True)
class Arn:
    """A parsed ARN. ``str(arn)`` gives it back."""

    kind: str  # one of KINDS; ``solution/NAME/...`` is a solution-version
    name: str  # after the resource type: the solution's for a version, the group's for a dataset
    region: str  # empty, as the account, for what AWS owns
    account: str
    resource: str  # all after the account, such as "dataset/films/INTERACTIONS"
    qualifier: str = ""  # a version's eight hex digits or $LATEST, a dataset's type
    partition: str = "aws"

    def __str__(self) -> str:
        return f"arn:{self.partition}:personalize:{self.region}:{self.account}:{self.resource}"


def account_id() -> str:
    """Return the account of what is made: ``PERSONALENS_ACCOUNT_ID`` or 123456789012."""
    account = os.environ.get(ACCOUNT_VARIABLE) or DEFAULT_ACCOUNT
    if not re.fullmatch(r"[0-9]{12}", account):
        raise ValueError(
            f"{ACCOUNT_VARIABLE} is {account!r}, but an AWS account id is exactly twelve digits. "
            f"Unset it to use {DEFAULT_ACCOUNT}."
        )
    return account


@lru_cache(maxsize=256)
def partition_of(region: str) -> str:
    """Return the partition of a region, as botocore knows it; "aws" for one that nobody knows.

    >>> partition_of("cn-north-1"), partition_of("us-gov-west-1"), partition_of("eu-west-1")
    ('aws-cn', 'aws-us-gov', 'aws')
    """
    for partition in _partitions():
        if region in partition["regions"] or re.match(partition["regionRegex"], region):
            return partition["id"]
    return "aws"


@cache
def _partitions() -> list[dict[str, Any]]:
    from botocore.loaders import Loader  # here: a worker builds few ARNs, and it takes a while

    own = Loader(extra_search_paths=[Loader.BUILTIN_DATA_PATH], include_default_search_paths=False)
    return own.load_data("partitions")["partitions"]


def build(kind: str, name: str, *, region: str = DEFAULT_REGION, account: str | None = None) -> str:
    """Return the ARN of a resource that is known by its name."""
    if kind in AWS_KINDS:
        return f"arn:{partition_of(region)}:personalize:::{kind}/{name}"
    if kind not in NAMED_KINDS:
        allowed = ", ".join(sorted(NAMED_KINDS | AWS_KINDS))
        raise ValueError(f"{kind!r} has no ARN built from a name alone. Kinds that do: {allowed}.")
    return f"{_prefix(region, account)}:{kind}/{name}"


def dataset_arn(group_arn: str, dataset_type: str) -> str:
    """Return a dataset's ARN, which holds its group and its type, not its own name.

    >>> dataset_arn("arn:aws:personalize:us-east-1:123456789012:dataset-group/films", "Items")
    'arn:aws:personalize:us-east-1:123456789012:dataset/films/ITEMS'
    """
    group = parse(group_arn)
    return str(replace(group, resource=f"dataset/{group.name}/{dataset_type.upper()}"))


def solution_version_arn(solution_arn: str, version: str | None = None) -> str:
    """Return the ARN of a version of a solution: a new random one unless ``version`` is given.

    >>> solution_version_arn("arn:aws:personalize:us-east-1:123456789012:solution/films", "$LATEST")
    'arn:aws:personalize:us-east-1:123456789012:solution/films/$LATEST'
    """
    return f"{solution_arn}/{version or secrets.token_hex(4)}"


def event_tracker_arn(
    identifier: str | None = None, *, region: str = DEFAULT_REGION, account: str | None = None
) -> str:
    """Return an event tracker's ARN, which ends in eight hex digits: new ones unless given."""
    return f"{_prefix(region, account)}:event-tracker/{identifier or secrets.token_hex(4)}"


def recipe_arn(name: str, *, region: str = DEFAULT_REGION) -> str:
    """Return the ARN of a recipe that AWS (here: PersonaLens) provides."""
    return build("recipe", name, region=region)


@lru_cache(maxsize=1024)
def parse(arn: str) -> Arn:
    """Take an ARN apart."""
    match = _SHAPE.fullmatch(arn) if len(arn) <= MAX_LENGTH else None
    if match is None:
        raise InvalidInputException(
            f"Invalid ARN: {arn[:MAX_LENGTH]!r}. Expected at most {MAX_LENGTH} characters, as in "
            "arn:aws:personalize:REGION:ACCOUNT:TYPE/NAME."
        )
    kind, (name, _, qualifier) = match["type"], match["path"].partition("/")
    if kind == "solution" and qualifier:
        kind = "solution-version"
    if kind not in KINDS or not _is_well_formed(kind, name, qualifier):
        raise InvalidInputException(
            f"Invalid ARN: {arn!r}. {match['type']}/{match['path']} names no resource of Amazon "
            "Personalize. Resource types: " + ", ".join(sorted(KINDS - {"solution-version"})) + "."
        )
    return Arn(
        kind=kind,
        name=name,
        region=match["region"],
        account=match["account"],
        resource=f"{match['type']}/{match['path']}",
        qualifier=qualifier,
        partition=match["partition"],
    )


def _is_well_formed(kind: str, name: str, qualifier: str) -> bool:
    """Say whether the path has as many parts as its kind needs."""
    if kind in ("dataset", "solution-version"):
        return bool(name and qualifier and "/" not in qualifier)
    return bool(name and not qualifier)


def _prefix(region: str, account: str | None) -> str:
    return f"arn:{partition_of(region)}:personalize:{region}:{account or account_id()}"
