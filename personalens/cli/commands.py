"""The ``personalens`` command. Each ``--help`` is its documentation."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from personalens.cli import doctor as examination
from personalens.home import Home, default_home

app = typer.Typer(
    name="personalens",
    help="A lab kit for personalisation on a local Amazon Personalize.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
data = typer.Typer(help="Data sets: which are here, fetch one, generate one.", no_args_is_help=True)
app.add_typer(data, name="data")

HomeOption = Annotated[
    Path | None,
    typer.Option(
        help="The home directory. Default: PERSONALENS_HOME, else .personalens in the working tree."
    ),
]


@app.command()
def run(
    dataset: Annotated[
        str | None,
        typer.Option(
            help="ml-latest-small, ml-100k, another MovieLens release, or sample. Default: "
            "ml-latest-small if it is here or can be downloaded, else sample."
        ),
    ] = None,
    labs: Annotated[Path, typer.Option(help="The folder of the notebooks.")] = Path("labs"),
    out: Annotated[
        Path | None,
        typer.Option(
            help="Where executed notebooks and the run's own home go. Default: build/labs/DATASET."
        ),
    ] = None,
    to: Annotated[int, typer.Option(help="The last lab to run.")] = 5,
) -> None:
    """Run labs 00 to 05 and show what they have made.

    Every run starts from an empty home of its own below the output folder, so it imports and trains
    again; the home that you work in is not touched. Ends with the metrics of each recipe, the
    history and recommendations of a viewer, and the seconds of each step. Exit status 1 if a lab
    fails.
    """
    from personalens.cli import lab_runner
    from personalens.cli.lab_report import make_report, render
    from personalens.datasets import DataUnavailable

    runs: list[lab_runner.LabRun] = []
    try:
        chosen, notice = lab_runner.choose_dataset(dataset)
        notebooks = lab_runner.find_labs(labs, to)
        target = (out or Path("build/labs") / chosen).resolve()
        if notice:
            typer.echo(notice)
        typer.echo(f"Running {len(notebooks)} labs on {chosen} ...")
        for done in lab_runner.run_labs(notebooks, chosen, target):
            runs.append(done)
            if len(runs) == min(len(notebooks), lab_runner.LAST_MAIN_LAB + 1):
                report = make_report(Home(target / lab_runner.HOME_FOLDER), chosen)
    except (ValueError, OSError, DataUnavailable, lab_runner.LabFailed) as error:
        _fail(error)
    typer.echo("\n" + render(report, runs))


@app.command()
def labs(
    to: Annotated[Path, typer.Option(help="The folder of the copies.")] = Path("my_labs"),
    source: Annotated[Path, typer.Option(help="The folder of the notebooks.")] = Path("labs"),
) -> None:
    """Copy the labs for a learner: without outputs, so that no answer shows before it was tried.

    A copy that you have written into stays as it is. One that you have not touched follows its
    source.
    """
    from personalens.cli.lab_copies import copy_labs

    try:
        copies = copy_labs(source, to)
    except OSError as error:
        _fail(error)
    if not copies.made and not copies.kept:
        _fail(FileNotFoundError(f"no lab in {source}: name the folder of the labs with --source"))
    typer.echo(f"{len(copies.made) + len(copies.kept)} labs in {to}")
    if copies.kept:
        typer.echo(f"Yours, and left as they are: {', '.join(copies.kept)}")


@app.command()
def doctor(
    home: HomeOption = None,
    port: Annotated[
        int, typer.Option(help="The port that personalens serve would use.")
    ] = examination.DEFAULT_PORT,
    deep: Annotated[
        bool,
        typer.Option("--deep", help="Examine what the home holds, file by file, and only that."),
    ] = False,
) -> None:
    """Check that everything is in place, and say what to do where it is not.

    A line each for Python, packages, torch, memory, data, home, worker, kernel, botocore's models
    and port: OK, or PROBLEM with a remedy. Exit status 1 if there is a problem.
    """
    findings = examination.examine(_chosen(home), port=port)
    if deep:
        from personalens.cli.home_examination import examine_home

        findings = examine_home(_chosen(home))
    is_ok = True
    for finding in findings:
        typer.echo(str(finding))
        is_ok = is_ok and finding.is_ok
    raise typer.Exit(code=0 if is_ok else 1)


@app.command()
def serve(
    home: HomeOption = None,
    host: Annotated[
        str,
        typer.Option(help="The address to listen on. Beyond loopback: with --credentials only."),
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The port; 0 for any.")] = examination.DEFAULT_PORT,
    workers: Annotated[int, typer.Option(min=1, help="How many processes answer.")] = 1,
    credentials: Annotated[
        Path | None,
        typer.Option(
            help="A file like ~/.aws/credentials: every request must be signed with one of its "
            "keys. A section with an aws_account_id has an account of its own. Default: any "
            "credentials will do."
        ),
    ] = None,
    allow_origin: Annotated[
        list[str] | None,
        typer.Option(
            help="A web page's origin, such as https://shop.example, that may use the server; "
            "* for all. Repeatable. Pages of this machine may."
        ),
    ] = None,
    allow_folder: Annotated[
        list[Path] | None,
        typer.Option(
            help="A folder of this machine below which jobs may read and write. Repeatable. "
            "Default: anywhere; with --credentials, nowhere but in S3."
        ),
    ] = None,
    with_s3: Annotated[
        bool,
        typer.Option("--with-s3", help="Answer S3, IAM, STS, KMS and SSM, too: moto's server."),
    ] = False,
    access_log: Annotated[bool, typer.Option(help="A line of JSON for each request.")] = True,
) -> None:
    """Answer the three services over HTTP for the AWS CLI, other SDKs and other processes.

    Prints the variables that point an unmodified client here, and logs requests to the standard
    error stream. GET /_personalens/health says whether it is up, /_personalens/metrics tells
    Prometheus the rest (with --credentials: signed). Ctrl-C or SIGTERM ends it when the requests at
    hand are answered; jobs that it has started go on.
    """
    try:
        from personalens.aws import server_launch
    except ImportError as error:
        _fail(f"{error}; install the server extra: pip install -e '.[server]'")
    settings = server_launch.ServerSettings(
        home=_chosen(home),
        host=host,
        port=port,
        workers=workers,
        credentials=credentials,
        origins=tuple(allow_origin or ()),
        access_log=access_log,
        with_s3=with_s3,
        allow_folders=tuple(allow_folder or ()),
    )
    try:
        server_launch.serve(settings, announce=typer.echo)
    except ImportError as error:
        _fail(f"{error}; install the aws extra: pip install -e '.[aws]'")
    except (ValueError, OSError) as error:
        _fail(error)


@app.command()
def reset(
    home: HomeOption = None, yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False
) -> None:
    """Delete the home: every dataset group, model, campaign and job. Downloaded data stay.

    Only what PersonaLens made goes; what else lies in the folder stays, and is named.
    """
    from personalens.cli import home_reset

    chosen = _chosen(home)
    if not chosen.path.exists():
        typer.echo(f"There is nothing at {chosen.path}.")
        return
    try:
        home_reset.check_is_home(chosen)
        if users := home_reset.users_of(chosen):
            typer.echo(f"In use by process {', '.join(users)}, which will find it empty.")
        if not yes:
            typer.confirm(f"Delete {chosen.path} with all that PersonaLens made?", abort=True)
        left = home_reset.remove_home(chosen)
    except (home_reset.NoHome, OSError) as error:
        _fail(error)
    if names := ", ".join(path.name for path in left):
        typer.echo(f"Deleted what PersonaLens made in {chosen.path}. This stays: {names}.")
    else:
        typer.echo(f"Deleted {chosen.path}.")


@app.command()
def backup(
    file: Annotated[Path, typer.Argument(help="The file to write, such as home.tar.gz.")],
    home: HomeOption = None,
) -> None:
    """Copy all that the home holds into one file, while servers and jobs go on.

    What was acknowledged before it began is in it. Not in it: logs, and the files of recipes that
    you registered. personalens restore puts it back.
    """
    from personalens.cli.backup import back_up
    from personalens.storage.catalogue import StorageError

    try:
        back_up(_chosen(home), file)
    except (ValueError, OSError, StorageError) as error:
        _fail(error)
    typer.echo(f"Wrote {file}, {file.stat().st_size / 2**20:.1f} MB.")


@app.command()
def restore(
    file: Annotated[Path, typer.Argument(help="A file that personalens backup wrote.")],
    home: HomeOption = None,
) -> None:
    """Put a backup back, as a home that is not there yet or is empty; nothing is overwritten."""
    from personalens.cli import backup

    chosen = _chosen(home)
    try:
        backup.restore(chosen, file)
    except (ValueError, OSError) as error:
        _fail(error)
    typer.echo(f"Restored {chosen.path}. To examine it: personalens doctor --deep")


@data.command("list")
def list_data() -> None:
    """Show each data set, its size, and where it lies or how to get it."""
    from personalens.datasets.releases import RELEASES, SAMPLE, find_data

    typer.echo(f"{SAMPLE:<16} {'':>10}  embedded: real films, simulated viewers")
    for name, release in RELEASES.items():
        missing = f"not here: personalens data fetch {name}, {release.megabytes:g} MB"
        typer.echo(f"{name:<16} {release.ratings:>10,}  {find_data(name) or missing}")


@data.command("fetch")
def fetch_data(name: Annotated[str, typer.Argument(help="A MovieLens release.")]) -> None:
    """Download a MovieLens release from GroupLens into data/ after showing its licence.

    The archive's checksum is verified. A release that is here already is not fetched again.
    """
    from personalens.datasets import DataUnavailable
    from personalens.datasets.releases import fetch, find_data

    try:
        path = find_data(name) or fetch(name, announce=typer.echo)
    except (ValueError, DataUnavailable) as error:
        _fail(error)
    typer.echo(str(path))


@data.command("generate")
def generate_data(
    users: Annotated[int, typer.Option(min=1, help="How many simulated viewers.")] = 600,
    items: Annotated[int, typer.Option(min=1, help="How many films.")] = 480,
    interactions: Annotated[int, typer.Option(min=1, help="Rows of interactions.csv.")] = 62_000,
    seed: Annotated[int, typer.Option(help="The same seed and sizes give the same bytes.")] = 11,
    out: Annotated[Path, typer.Option(help="Where the three CSV files go.")] = Path("build/data"),
) -> None:
    """Generate interactions.csv, items.csv and users.csv of any size, in bounded memory.

    Real film titles, simulated viewers with a known taste. Rows are written viewer by viewer, so
    100 million interactions take disk and time but hardly memory.
    """
    from tqdm import tqdm

    from personalens.datasets import generate

    with tqdm(total=interactions, unit="row", unit_scale=True, disable=None) as bar:

        def advance(rows: int, _: int) -> None:
            bar.update(rows - bar.n)

        try:
            paths = generate(users, items, interactions, seed, out, progress=advance)
        except (ValueError, OSError) as error:
            _fail(error)
    for path in paths.values():
        typer.echo(str(path))


def _chosen(home: Path | None) -> Home:
    return Home(home.resolve()) if home else default_home()


def _fail(error: object) -> None:
    typer.echo(f"personalens: {error}", err=True)
    raise typer.Exit(code=1)
