"""The catalogue file: threads, forks, deletion under its feet, versions, damage."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
import warnings
from contextlib import closing

import pytest

from personalens.home import Home
from personalens.storage import catalogue as catalogue_module
from personalens.storage.catalogue import Catalogue, StorageError
from personalens.storage.resource_store import Resource, ResourceStore

PREFIX = "arn:aws:personalize:us-east-1:123456789012:schema/"


def add(store: ResourceStore, name: str) -> None:
    with store.transaction() as tx:
        tx.insert(Resource(PREFIX + name, "schema", name))


def names(store: ResourceStore) -> list[str]:
    return [resource.name for resource in store.list("schema")]


def test_it_is_durable_and_lets_readers_and_a_writer_work_together(home):
    with Catalogue(home).reading() as connection:
        pragma = lambda name: connection.execute(f"PRAGMA {name}").fetchone()[0]  # noqa: E731
        assert pragma("journal_mode") == "wal"
        assert pragma("synchronous") == 2  # FULL
        assert pragma("foreign_keys") == 1


def test_each_thread_has_a_connection_of_its_own_and_it_is_closed_with_it(home):
    catalogue = Catalogue(home)
    seen = []

    def look() -> None:
        with catalogue.reading() as connection:
            seen.append(connection)

    for _ in range(2):
        thread = threading.Thread(target=look)
        thread.start()
        thread.join()
    look()
    look()
    assert len({id(connection) for connection in seen}) == 3
    assert seen[2] is seen[3]
    for connection in seen[:2]:
        with pytest.raises(sqlite3.ProgrammingError, match="closed"):
            connection.execute("SELECT 1")


def test_a_version_is_the_same_until_anybody_writes(home, store):
    catalogue, elsewhere = store.catalogue, Catalogue(home)
    add(store, "films")
    seen = [catalogue.version()]

    def note() -> None:
        assert catalogue.version() == catalogue.version()
        seen.append(catalogue.version())

    add(store, "songs")
    note()
    add(ResourceStore(home, catalogue=elsewhere), "books")
    note()
    catalogue.close()
    note()
    home.catalogue.unlink()
    note()
    assert len(set(seen)) == 5


def in_child(function) -> int:
    """Run a function in a forked child and return its exit status."""
    with warnings.catch_warnings():  # Python 3.12 warns of threads; other tests have left some
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        status = 1
        try:
            function()
            status = 0
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_parent_and_forked_child_both_go_on(store):
    add(store, "before")
    assert in_child(lambda: add(store, "child")) == 0
    add(store, "after")
    assert names(store) == ["before", "child", "after"]


def test_a_fork_in_the_midst_of_a_transaction_does_not_let_the_child_end_it(store):
    with store.transaction() as tx:
        tx.insert(Resource(PREFIX + "mine", "schema", "mine"))
        assert in_child(lambda: store.catalogue.close()) == 0
    assert names(store) == ["mine"]
    assert in_child(lambda: add(store, "child")) == 0
    assert names(store) == ["mine", "child"]


def test_a_home_that_is_deleted_and_used_again_starts_afresh(home, store):
    add(store, "old")
    for path in home.path.glob("catalogue.sqlite*"):
        path.unlink()
    assert names(store) == []
    add(store, "new")
    assert names(ResourceStore(home)) == ["new"]


def test_a_process_that_may_not_make_a_home_says_that_it_is_gone(home):
    with pytest.raises(StorageError, match="is gone"), Catalogue(home, create=False).reading():
        pass
    assert not home.path.exists()


def test_a_catalogue_of_an_older_version_is_brought_up_to_date(home, store, monkeypatch):
    add(store, "films")
    column = "ALTER TABLE resources ADD COLUMN colour TEXT DEFAULT 'blue'"
    newer = (*catalogue_module.MIGRATIONS, (column,))
    monkeypatch.setattr(catalogue_module, "MIGRATIONS", newer)
    with Catalogue(home).reading() as connection:
        assert connection.execute("SELECT name, colour FROM resources").fetchall() == [
            ("films", "blue")
        ]
        assert connection.execute("PRAGMA user_version").fetchone() == (len(newer),)


def test_a_migration_that_fails_leaves_the_old_version(home, store, monkeypatch):
    add(store, "films")
    broken = (*catalogue_module.MIGRATIONS, ("CREATE TABLE more (x)", "NONSENSE"))
    with monkeypatch.context() as patch:
        patch.setattr(catalogue_module, "MIGRATIONS", broken)
        with pytest.raises(StorageError, match="NONSENSE"), Catalogue(home).reading():
            pass
    with Catalogue(home).reading() as connection:
        tables = connection.execute("SELECT name FROM sqlite_master WHERE name = 'more'")
        assert tables.fetchall() == []
    assert names(store) == ["films"]


def test_a_catalogue_of_a_newer_version_is_left_alone(home, store):
    add(store, "films")
    store.catalogue.close()
    with sqlite3.connect(home.catalogue) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(StorageError, match=r"schema version 99.*Update PersonaLens"):
        names(store)


def test_a_file_that_is_no_catalogue_is_named(home):
    home.create()
    home.catalogue.write_text("This is a letter, not a database. " * 99)
    with pytest.raises(StorageError, match=r"catalogue\.sqlite: it is damaged") as caught:
        names(ResourceStore(home))
    assert "PERSONALENS_HOME" in str(caught.value)


def test_waiting_for_a_lock_ends_with_a_clear_error(home, store):
    add(store, "films")
    impatient = ResourceStore(home, catalogue=Catalogue(home, busy_seconds=0.05))
    with store.transaction(), pytest.raises(StorageError, match="another process keeps it locked"):
        add(impatient, "books")
    add(impatient, "books")
    assert names(store) == ["films", "books"]


def test_a_home_under_a_file_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    store = ResourceStore(Home(tmp_path / "file" / "home"))
    with pytest.raises(StorageError, match=r"cannot write its home .*file/home.*PERSONALENS_HOME"):
        add(store, "films")


WRITES_TO_THE_END = """
import sys, threading, time
from pathlib import Path
from personalens.storage.catalogue import Catalogue
from personalens.home import Home

catalogue, begun = Catalogue(Home(Path(sys.argv[1]))), threading.Barrier(4)

def write():
    begun.wait()
    while True:
        with catalogue.transaction() as connection:
            connection.execute("CREATE TABLE IF NOT EXISTS written (at)")
            connection.execute("INSERT INTO written VALUES (?)", (time.time(),))

for _ in range(3):
    threading.Thread(target=write, daemon=True).start()
with catalogue.reading() as connection:
    connection.execute("SELECT 1")
begun.wait()
time.sleep(0.2)
"""


@pytest.mark.parametrize("round_", range(3))
def test_a_process_ends_quietly_while_threads_of_it_write(tmp_path, round_):
    script = [sys.executable, "-c", WRITES_TO_THE_END, str(tmp_path / "home")]
    done = subprocess.run(script, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    with closing(sqlite3.connect(tmp_path / "home" / "catalogue.sqlite")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert connection.execute("SELECT count(*) FROM written").fetchone()[0] > 0
