"""Which column of a CSV file is which of a schema."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence

from personalens.datasets.avro_schemas import DatasetSchema
from personalens.datasets.csv_blocks import CsvImportError

_MOST_NAMES = 20
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_ ]{0,63}")


def match_columns(
    file: str, header: Sequence[str], schema: DatasetSchema, *, earlier: Sequence[str] = ()
) -> tuple[list[str], tuple[str, ...]]:
    """Return the header with the schema's names for the columns that the schema has, and what is
    beyond those.

    Amazon Personalize: it takes user_id for USER_ID.

    Parameters
    ----------
    file
        For messages.
    header
        The names in the file's first line.
    schema
        Whose columns are looked for.
    earlier
        The header of another file of the same folder.

    Raises
    ------
    CsvImportError
        If a column is missing or could be either of two, a name is there twice, or the files of a
        folder differ.

    Examples
    --------
    >>> from personalens.datasets.avro_schemas import parse_schema
    >>> users = parse_schema('''{
    ...   "type": "record", "name": "Users", "version": "1.0",
    ...   "namespace": "com.amazonaws.personalize.schema",
    ...   "fields": [
    ...     {"name": "USER_ID", "type": "string"}, {"name": "AGE", "type": "int"}]}''')
    >>> match_columns("users.csv", ["age", "User_Id", "name"], users)
    (['AGE', 'USER_ID', 'name'], ('name',))
    """
    spellings = defaultdict(dict)
    for name in header:
        spellings[name.upper()][name] = None
    if missing := [name for name in schema.names if name.upper() not in spellings]:
        raise CsvImportError(_what_is_missing(file, header, schema, missing))
    if repeated := sorted(name for name, times in Counter(header).items() if times > 1):
        raise CsvImportError(f"{file} has the column {_list(repeated)} more than once.")
    for name in schema.names:
        if len(found := list(spellings[name.upper()])) > 1:
            raise CsvImportError(
                f"{file} has the columns {' and '.join(found)}, and either could be {name}: case "
                "does not count. Rename or remove one."
            )
    if earlier and {name.upper() for name in earlier} != spellings.keys():
        raise CsvImportError(
            f"The files of a folder must have equal headers; {file} has {_list(header)}, the "
            f"files before it {_list(earlier)}."
        )
    by_spelling = {next(iter(spellings[name.upper()])): name for name in schema.names}
    surplus = tuple(name for name in header if name not in by_spelling)
    return [by_spelling.get(name, name) for name in header], surplus


def _what_is_missing(
    file: str, header: Sequence[str], schema: DatasetSchema, missing: Sequence[str]
) -> str:
    """Say which columns a file lacks. What it has instead is told only of a file that is meant for
    the dataset, for a location may name any file, and a reason is read by more people than it."""
    message = f"Input CSV is missing the following columns: [{', '.join(missing)}]."
    names = {name.upper() for name in header}
    if names & {name.upper() for name in schema.required_names}:
        return f"{message} {file} has {_list(header)}."
    if len(header) == 1:
        return (
            f"{message} The first line of {file} is one value: it must name the columns, with "
            "commas between them."
        )
    return f"{message} The first line of {file} must name them."


def _list(names: Sequence[str]) -> str:
    shown = [name if _NAME.fullmatch(name) else "(no name)" for name in names[:_MOST_NAMES]]
    more = len(names) - len(shown)
    return ", ".join(shown) + (f" and {more:,} more" if more else "")
