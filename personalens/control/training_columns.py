"""Which columns of a dataset train, and as what.

Amazon Personalize: "Schemas" in the developer guide. Strings train where the schema calls them
categorical or textual; plain strings are stored and can be filtered by, and booleans neither train
nor filter. A column that is less than 85 % complete does not train.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import pandas as pd

from personalens.control.dataset_rows import DatasetRows
from personalens.datasets.avro_schemas import DatasetSchema, SchemaField
from personalens.datasets.interactions import NOT_CONTEXT, Interactions
from personalens.datasets.metadata import CREATION_TIMESTAMP, Metadata

MIN_COMPLETE = 0.85
_NUMBERS = ("int", "long", "float", "double")


def read_metadata(rows: DatasetRows, id_column: str, columns: Collection[str]) -> Metadata:
    """Return what may train of an Items or Users dataset.

    Parameters
    ----------
    rows
        The dataset.
    id_column
        ITEM_ID or USER_ID.
    columns
        Those that the solution allows.

    Notes
    -----
    CREATION_TIMESTAMP stays however incomplete it is: what is missing has a meaning of its own.
    """
    fields = [field for field in rows.schema.fields if field.name in columns and _trains(field)]
    names = [field.name for field in fields if field.name != id_column]
    frame = rows.read(columns=[id_column, *names]).to_pandas()
    kept = [name for name in names if name == CREATION_TIMESTAMP or _is_complete(frame[name])]
    text = [field.name for field in fields if field.textual or field.item_name]
    return Metadata.from_frame(frame[[id_column, *kept]], id_column, text=text)


def trainable_context(schema: DatasetSchema, interactions: Interactions) -> list[str]:
    """Return the further columns of interactions that may train, and those that tell how an event
    came about, such as IMPRESSION, which are read but never features."""
    trains = {field.name for field in schema.fields if _trains(field)}
    return [
        name
        for name, values in interactions.context.items()
        if name in NOT_CONTEXT or (name in trains and _is_complete(values))
    ]


def _trains(field: SchemaField) -> bool:
    is_number = field.value_type in _NUMBERS
    return is_number or field.categorical or field.textual or field.item_name


def _is_complete(values: pd.Series | np.ndarray) -> bool:
    return len(values) == 0 or float(pd.notna(values).mean()) >= MIN_COMPLETE
