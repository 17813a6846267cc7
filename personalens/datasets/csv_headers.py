"""Which column of a CSV file is which of a schema."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

from personalens.datasets.avro_schemas import DatasetSchema
from personalens.datasets.csv_blocks import CsvImportError

_MOST_SHOWN = 20


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
    counts = Counter(header)
    if repeated := [place for place, name in enumerate(header, start=1) if counts[name] > 1]:
        raise CsvImportError(
            f"{file} has a column name more than once, in the columns {_list(repeated)}."
        )
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
    """Say which columns a file lacks, and which it has in the words of the schema.

    What else its first line says is not repeated: a location may name any file, even a secret one,
    and a reason is read by more people than it.
    """
    message = f"Input CSV is missing the following columns: [{', '.join(missing)}]."
    names = {name.upper() for name in schema.names}
    if len(header) == 1:
        return (
            f"{message} The first line of {file} is one value: it must name the columns, with "
            "commas between them."
        )
    known = [name for name in header if name.upper() in names]
    if not known:
        return f"{message} The first line of {file} names none of the schema's columns."
    others = [place for place, name in enumerate(header, start=1) if name.upper() not in names]
    told = f"{message} {file} has {_list(known)}"
    if not others:
        return f"{told}."
    return f"{told}; what stands in column {_list(others)} is no name of the schema."


def _list(values: Sequence[object]) -> str:
    more = len(values) - _MOST_SHOWN
    shown = ", ".join(map(str, values[:_MOST_SHOWN]))
    return f"{shown} and {more:,} more" if more > 0 else shown
