"""``python -m personalens`` is the ``personalens`` command."""

from personalens.cli.commands import app

if __name__ == "__main__":
    app(prog_name="personalens")
