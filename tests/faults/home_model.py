"""What a home must answer, predicted by plain dictionaries."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

from personalens.arns import build, dataset_arn
from tests.conftest import small_world

NOT_FOUND = "ResourceNotFoundException"
IN_USE = "ResourceInUseException"
EXISTS = "ResourceAlreadyExistsException"
INVALID = "InvalidInputException"
ACTIVE, FAILED, GOING = "ACTIVE", "CREATE FAILED", "DELETE PENDING"
FEWEST_EVENTS = 1000

Row = tuple[str, str, int, str]
"""Who, which item, when, what kind of event."""


def event_table(seed: int) -> list[Row]:
    """Return rows to import."""
    columns = ["USER_ID", "ITEM_ID", "TIMESTAMP", "EVENT_TYPE"]
    return list(small_world(seed)[columns].itertuples(index=False, name=None))


EVENT_TABLES = {
    "first": event_table(1),
    "second": event_table(2),
    "short": event_table(3)[: FEWEST_EVENTS - 1],
}
ITEM_TABLES = {
    "even": [(f"film-{n}", "noir") for n in range(0, 40, 2)],
    "all": [(f"film-{n}", "space") for n in range(40)],
}

TABLES = {"INTERACTIONS": EVENT_TABLES, "ITEMS": ITEM_TABLES}
COLUMNS = {
    "INTERACTIONS": ["USER_ID", "ITEM_ID", "TIMESTAMP", "EVENT_TYPE"],
    "ITEMS": ["ITEM_ID", "GENRE"],
}
LISTS = {
    "dataset-group": "datasetGroups",
    "schema": "schemas",
    "dataset": "datasets",
    "dataset-import-job": "datasetImportJobs",
    "dataset-export-job": "datasetExportJobs",
    "event-tracker": "eventTrackers",
    "solution": "solutions",
    "solution-version": "solutionVersions",
    "campaign": "campaigns",
    "filter": "Filters",
}
"""Kinds, and the member of their lists."""


def arn_of(kind: str, name: str) -> str:
    return build(kind, name, region="us-east-1", account="123456789012")


def dataset_of(group: str, kind: str) -> str:
    return dataset_arn(arn_of("dataset-group", group), kind)


def names_of(kind: str) -> tuple[str, str]:
    """Return how members and how methods spell a kind."""
    first, *rest = kind.split("-")
    return first + "".join(word.capitalize() for word in rest), kind.replace("-", "_")


@dataclass
class Thing:
    """A resource. ``uses`` are those that cannot be deleted as long as it is there; with its
    ``parent`` it goes itself, if it is one of :data:`GOES_ALONG`."""

    kind: str
    arn: str
    parent: str | None = None
    uses: frozenset[str] = frozenset()
    status: str | None = ACTIVE


GOES_ALONG = ("filter", "dataset-import-job", "solution-version")


@dataclass
class Rows:
    """What was delivered to a dataset, in order: ("import" or "put", the rows)."""

    delivered: list[tuple[str, list]] = field(default_factory=list)
    has_full: bool = False
    users: dict[str, str] = field(default_factory=dict)
    nameless: dict[str, list] = field(default_factory=lambda: defaultdict(list))

    def import_(self, kind: str, rows: list, mode: str) -> str:
        """Take a table, and return how its job ends."""
        if kind == "INTERACTIONS" and len(rows) < FEWEST_EVENTS:
            return FAILED
        if mode == "FULL":
            self.delivered = [each for each in self.delivered if each[0] == "put"]
            self.has_full = True
        self.delivered.append(("import", list(rows)))
        return ACTIVE

    def put_events(self, session: str, user: str | None, events: list[tuple]) -> None:
        """Take events (item, when, type). Of a session that nobody is known of they wait until its
        user is named."""
        if user is not None and self.users.get(session) != user:
            self.users[session] = user
            events = [*self.nameless.pop(session, []), *events]
        who = self.users.get(session)
        if who is None:
            self.nameless[session] += events
        else:
            self.delivered.append(("put", [(who, *event) for event in events]))

    def exported(self, mode: str, *, newest_only: bool) -> set:
        """Return what an export holds: of items (ids and a column) the newest of each with ALL."""
        wanted = {"BULK": ("import",), "PUT": ("put",), "ALL": ("import", "put")}[mode]
        rows = [row for source, each in self.delivered if source in wanted for row in each]
        if mode == "ALL" and newest_only:
            return set(dict(rows).items())
        if mode == "PUT" and newest_only:  # a record replaces the one that was put before
            return set(dict(rows).items())
        return set(rows)


def most_popular(rows: set[Row], count: int = 10) -> list[str]:
    """Return items by users, then events, then the newest event, then the identifier."""
    users, events, newest = defaultdict(set), defaultdict(int), defaultdict(int)
    for user, item, when, _ in rows:
        users[item].add(user)
        events[item] += 1
        newest[item] = max(newest[item], when)
    ranked = sorted(users, key=lambda i: (-len(users[i]), -events[i], -newest[i], i))
    return ranked[:count]


class HomeModel:
    """All resources by ARN, the rows of datasets, and the lists of versions."""

    def __init__(self) -> None:
        self.things: dict[str, Thing] = {}
        self.rows: dict[str, Rows] = {}
        self.lists: dict[str, list[str] | None] = {}
        self.tracking_ids: dict[str, str] = {}

    def of(self, kind: str, parent: str | None = None) -> list[Thing]:
        """Return what there is of a kind, what is being deleted too; of one parent if asked."""
        things = [thing for thing in self.things.values() if thing.kind == kind]
        return [thing for thing in things if parent in (None, thing.parent)]

    def usable(self, arn: str) -> str | None:
        """Return the error that one gets who builds upon a resource; None: none."""
        if arn not in self.things:
            return NOT_FOUND
        return {ACTIVE: None, None: None, GOING: IN_USE}.get(self.things[arn].status, INVALID)

    def free(self, arn: str) -> str | None:
        """Return the error that one gets who makes a resource of this name; None: none."""
        return EXISTS if arn in self.things else None

    def deletable(self, arn: str) -> str | None:
        """Return the error that one gets who deletes a resource; None: none."""
        if arn not in self.things:
            return NOT_FOUND
        is_used = any(arn in each.uses for each in self.things.values())
        return IN_USE if is_used or self.things[arn].status == GOING else None

    def add(self, thing: Thing) -> None:
        self.things[thing.arn] = thing
        if thing.kind == "dataset":
            self.rows[thing.arn] = Rows()

    def delete(self, arn: str) -> None:
        """Begin a deletion. A schema is gone at once."""
        if self.things[arn].kind == "schema":
            del self.things[arn]
            return
        for each in self.things.values():
            if each.arn == arn or (each.parent == arn and each.kind in GOES_ALONG):
                each.status = GOING

    def end_deletions(self) -> None:
        self.things = {arn: each for arn, each in self.things.items() if each.status != GOING}

    def train(self, dataset: str) -> list[str] | None:
        """Return the list of a model that is trained now; None if that fails."""
        rows = self.rows[dataset].exported("ALL", newest_only=False)
        return most_popular(rows) if len(rows) >= FEWEST_EVENTS else None
