"""Fixtures for the data tests: MovieLens-shaped files of invented content."""

from __future__ import annotations

from pathlib import Path

import pytest

ML_FILES = {
    "ml-100k": {
        "u.data": "1\t2\t5\t881250949\n2\t1\t3\t881250950\n",
        "u.item": "1|Caf\xe9 Noir (1995)|01-Jan-1996||http://x|"
        + "|".join("1" if i in (5, 16) else "0" for i in range(19))
        + "\n2|Untitled|05-Mar-1994||http://x|"
        + "|".join("1" if i == 0 else "0" for i in range(19))
        + "\n",
        "u.user": "1|24|M|technician|85711\n2|53|F|other|94043\n",
    },
    "ml-1m": {
        "ratings.dat": "1::2::5::978300760\n1::1::3::978302109\n",
        "movies.dat": "1::Caf\xe9: Noir (1995)::Comedy|Thriller\n2::Old One (1931)::Drama\n",
        "users.dat": "1::F::1::10::48067\n2::M::56::16::70072\n",
    },
    "ml-10m": {
        "ratings.dat": "1::2::4.5::838985046\n1::1::3::838983525\n",
        "movies.dat": "1::Café: Noir (1995)::Comedy|Thriller\n"
        "2::Old One (1931)::(no genres listed)\n",
    },
    "ml-latest-small": {
        "README.txt": "Summary\nThis dataset (ml-latest-small) describes\n",
        "ratings.csv": "userId,movieId,rating,timestamp\n1,2,4.5,964982703\n1,1,3.0,964981247\n",
        "movies.csv": 'movieId,title,genres\n1,"Café, Noir (1995) ",Comedy|Thriller\n'
        '2,Series (1931–1933),(no genres listed)\n3,"Say ""No""",Drama\n',
    },
}
_FOLDERS = {"ml-10m": "ml-10M100K"}


@pytest.fixture
def make_release(tmp_path):
    """Write a release's files below ``tmp_path`` and return the folder that holds them."""

    def make(name: str, root: Path = tmp_path, folder: str | None = None) -> Path:
        target = root / (folder or _FOLDERS.get(name, name))
        target.mkdir(parents=True)
        encoding = "latin-1" if name in ("ml-100k", "ml-1m") else "utf-8"
        for file, text in ML_FILES[name].items():
            (target / file).write_text(text, encoding=encoding)
        return target

    return make


@pytest.fixture
def no_data(monkeypatch, tmp_path):
    """Nothing is found on this machine: no variable, no checkout, an empty cache."""
    from personalens.datasets import releases

    monkeypatch.delenv("PERSONALENS_DATA", raising=False)
    empty = tmp_path / "nothing"
    monkeypatch.setattr(releases, "data_folders", lambda: [empty])
    return empty
