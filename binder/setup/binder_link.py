"""Print the address that opens this repository on mybinder.org, as its git remote says.

    python binder/setup/binder_link.py [REMOTE] [--write FILE ...]

With ``--write`` it replaces each address on mybinder.org that stands in the files.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

ROOT = Path(__file__).resolve().parents[2]
LAB_SETTINGS = ROOT / "binder" / "setup" / "jupyter" / "jupyter_lab_config.json"
ADDRESS = re.compile(r"https://mybinder\.org/v2/[\w/%.+-]+/HEAD\?urlpath=[\w/%.-]+")
PROVIDERS = {"github.com": "gh", "gitlab.com": "gl"}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("remote", nargs="?", help="default: the checkout's origin, or its first")
    parser.add_argument("--write", nargs="+", type=Path, metavar="FILE", default=())
    options = parser.parse_args()
    try:
        link = binder_link(options.remote or own_remote())
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    for path in options.write:
        text = path.read_text(encoding="utf-8")
        path.write_text(ADDRESS.sub(lambda _: link, text), encoding="utf-8")
    print(link)
    return 0


def own_remote() -> str:
    """Return the address of the checkout's origin or, without one, of its first remote."""
    names = git("remote").split()
    if not names:
        raise ValueError(
            "this checkout has no git remote: make binder-link REMOTE=https://github.com/you/name"
        )
    return git("remote", "get-url", "origin" if "origin" in names else names[0]).strip()


def git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True)
    return done.stdout if done.returncode == 0 else ""


def binder_link(remote: str) -> str:
    """Return the address for a repository that Binder can clone.

    >>> binder_link("git@github.com:someone/films.git")
    'https://mybinder.org/v2/gh/someone/films/HEAD?urlpath=lab/tree/my_labs/00_start_here.ipynb'
    """
    host, path = split_remote(remote)
    match PROVIDERS.get(host):
        case "gh":
            place = f"gh/{path}"
        case "gl":
            place = f"gl/{quote(path, safe='')}"
        case _:
            place = f"git/{quote(f'https://{host}/{path}', safe='')}"
    opened = json.loads(LAB_SETTINGS.read_text(encoding="utf-8"))["LabApp"]["default_url"]
    return f"https://mybinder.org/v2/{place}/HEAD?urlpath={opened.lstrip('/')}"


def split_remote(remote: str) -> tuple[str, str]:
    """Return host and path of a remote, however git writes it; no user and no password."""
    web = r"https?://(?:[^@/]+@)?([\w.-]+(?::\d+)?)/(.+?)"
    other = r"(?:ssh|git)://(?:[^@/]+@)?([\w.-]+)(?::\d+)?/(.+?)"
    short = r"(?:[\w.-]+@)?([\w-]+(?:\.[\w-]+)+):(?!/)(.+?)"
    for form in (web, other, short):
        if found := re.fullmatch(rf"{form}(?:\.git)?/?", remote):
            return found.group(1).lower(), found.group(2)
    raise ValueError(
        f"Binder cannot clone {remote!r}: it needs a repository that the public can read, such as "
        "https://github.com/you/name"
    )


if __name__ == "__main__":
    raise SystemExit(main())
