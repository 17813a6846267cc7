"""Writers that come while a transaction goes on share the next one, and its fate."""

from __future__ import annotations

import fcntl
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest

from personalens.home import Home
from personalens.storage.catalogue import Catalogue, StorageError
from personalens.storage.group_commit import GroupCommit


class CountingCatalogue(Catalogue):
    """Counts the transactions that were begun."""

    begun = 0

    def transaction(self):
        self.begun += 1
        return super().transaction()


@pytest.fixture
def catalogue(tmp_path) -> CountingCatalogue:
    catalogue = CountingCatalogue(Home(tmp_path / "home"))
    with catalogue.transaction() as connection:
        connection.execute("CREATE TABLE numbers (number INTEGER)")
    catalogue.begun = 0
    return catalogue


@pytest.fixture
def commits(catalogue) -> GroupCommit:
    return GroupCommit(catalogue)


def insert(number: int) -> Callable[[sqlite3.Connection], None]:
    return lambda connection: connection.execute("INSERT INTO numbers VALUES (?)", (number,))


def numbers(catalogue: Catalogue) -> list[int]:
    with catalogue.reading() as connection:
        found = connection.execute("SELECT number FROM numbers ORDER BY rowid").fetchall()
    return [number for (number,) in found]


def until_waiting(commits: GroupCommit, count: int) -> None:
    deadline = time.monotonic() + 60
    while len(commits._waiting) < count:
        assert time.monotonic() < deadline
        time.sleep(0.001)


@contextmanager
def while_one_writes(commits: GroupCommit, *, end: Callable = lambda: None) -> Iterator[list]:
    """A transaction that ends with ``end`` when the block is left. The writers that the block puts
    into the list are started, and all wait by then; they have ended afterwards."""
    begun, gate, threads = threading.Event(), threading.Event(), []

    def first(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO numbers VALUES (0)")
        begun.set()
        assert gate.wait(60)
        end()

    def write_first() -> None:
        with suppress(KeyboardInterrupt):
            commits.write(first)

    leader = threading.Thread(target=write_first)
    leader.start()
    assert begun.wait(60)
    yield threads
    for thread in threads:
        thread.start()
    until_waiting(commits, len(threads))
    gate.set()
    for thread in (leader, *threads):
        thread.join()


def test_twenty_writers_share_one_transaction(commits, catalogue):
    with while_one_writes(commits) as threads:
        threads += [threading.Thread(target=commits.write, args=(insert(n),)) for n in range(1, 21)]
    assert numbers(catalogue)[0] == 0
    assert sorted(numbers(catalogue)) == list(range(21))
    assert catalogue.begun == 2


def test_a_writer_alone_waits_for_nobody(commits, catalogue):
    for number in range(3):
        commits.write(insert(number))
    assert numbers(catalogue) == [0, 1, 2]
    assert catalogue.begun == 3


def fail(connection: sqlite3.Connection) -> None:
    connection.execute("INSERT INTO numbers VALUES (-1)")
    raise RuntimeError("on purpose")


def outcomes(commits: GroupCommit, works: list[Callable]) -> list[str | None]:
    """Write the works in one group; return what each writer was told, in their order."""
    told: list[str | None] = ["never"] * len(works)

    def write(place: int) -> None:
        try:
            commits.write(works[place])
            told[place] = None
        except (RuntimeError, StorageError) as error:
            told[place] = type(error).__name__

    with while_one_writes(commits) as threads:
        threads += [threading.Thread(target=write, args=(n,)) for n in range(len(works))]
    return told


def test_a_work_that_fails_fails_for_its_own_writer_only(commits, catalogue):
    works = [insert(1), fail, insert(2), fail, insert(3)]
    assert outcomes(commits, works) == [None, "RuntimeError", None, "RuntimeError", None]
    assert sorted(numbers(catalogue)) == [0, 1, 2, 3]
    commits.write(insert(4))
    assert numbers(catalogue)[-1] == 4


def test_a_group_of_failures_only_writes_nothing(commits, catalogue):
    assert outcomes(commits, [fail, fail]) == ["RuntimeError"] * 2
    assert numbers(catalogue) == [0]


def test_a_disk_that_fails_at_the_commit_fails_for_everybody_and_writes_nothing(
    commits, catalogue, monkeypatch
):
    @contextmanager
    def full_disk():
        with CountingCatalogue.transaction(catalogue) as connection:
            yield connection
            if catalogue.begun > 1:
                raise StorageError("the disk is full")

    monkeypatch.setattr(catalogue, "transaction", full_disk)
    assert outcomes(commits, [insert(1), insert(2)]) == ["StorageError"] * 2
    assert numbers(catalogue) == [0]


def test_an_interrupt_stops_its_own_writer_only(commits, catalogue):
    def interrupt() -> None:
        raise KeyboardInterrupt

    with while_one_writes(commits, end=interrupt) as threads:
        threads += [threading.Thread(target=commits.write, args=(insert(n),)) for n in (1, 2)]
    assert sorted(numbers(catalogue)) == [1, 2]
    commits.write(insert(3))
    assert numbers(catalogue)[-1] == 3


def test_whoever_comes_while_another_process_writes_joins_one_group(catalogue, commits):
    """SQLite alone would have the first begin a transaction, wait, and write for itself only."""
    turn = catalogue.path.with_suffix(".turn")
    with turn.open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)  # as another process does while it writes
        writers = [
            threading.Thread(target=commits.write, args=(insert(number),)) for number in range(5)
        ]
        for writer in writers:
            writer.start()
        until_waiting(commits, 5)
        assert catalogue.begun == 0
    for writer in writers:
        writer.join()
    assert catalogue.begun == 1
    assert sorted(numbers(catalogue)) == list(range(5))


def test_a_process_that_holds_its_turn_for_too_long_is_left_to_sqlite(tmp_path):
    catalogue = Catalogue(Home(tmp_path / "home"), busy_seconds=0.2)
    with catalogue.transaction() as connection:
        connection.execute("CREATE TABLE numbers (number INTEGER)")
    with catalogue.path.with_suffix(".turn").open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        GroupCommit(catalogue).write(insert(1))
    assert numbers(catalogue) == [1]
