"""aws-item-attribute-affinity: the users who will most likely come to items of a kind."""

from __future__ import annotations

import re

import numpy as np

from personalens.datasets.metadata import SEPARATOR, Field, Metadata, categorical_values
from personalens.evaluation.holdouts import WithinUserHoldout
from personalens.recipes.item_affinity import ItemAffinity, Question
from personalens.recipes.training_tables import CannotLearn

_TERM = r'\s*ITEMS\.(\w+)\s*=\s*"((?:[^"\\]|\\.)*)"\s*'
_EXPRESSION = re.compile(rf"{_TERM}(?:\bAND\b{_TERM})*", re.IGNORECASE)
_FORM = 'ITEMS.<field> = "<value>", several of them joined by AND'


def parse_attribute_expression(expression: str) -> list[tuple[str, str]]:
    """Return the fields and the values that an expression asks for.

    Examples
    --------
    >>> parse_attribute_expression('ITEMS.genres = "Sci-Fi" AND ITEMS.price = "9"')
    [('genres', 'Sci-Fi'), ('price', '9')]
    """
    if not _EXPRESSION.fullmatch(expression):
        raise ValueError(f"cannot read the expression {expression!r}: write {_FORM}")
    return [
        (name, re.sub(r"\\(.)", r"\1", value))
        for name, value in re.findall(_TERM, expression, re.IGNORECASE)
    ]


def items_with_attributes(items: Metadata, expression: str) -> np.ndarray:
    """Return the codes of the items that have all the attributes, ascending; maybe none.

    A field is named in upper or lower case; of several categories joined by ``|`` each matches; a
    number matches what reads as the same number.
    """
    fields = {name.upper(): field for name, field in items.fields.items() if field.kind != "text"}
    matches = np.ones(len(items), bool)
    for name, value in parse_attribute_expression(expression):
        if name.upper() not in fields:
            raise ValueError(
                f"the items have no field {name!r} that can be asked for; choose "
                f"{', '.join(fields) or 'another recipe: there is none'}"
            )
        matches &= _has_value(fields[name.upper()], value)
    return np.flatnonzero(matches)


def _has_value(field: Field, value: str) -> np.ndarray:
    if field.kind == "numeric":
        try:
            return field.values == float(value)
        except ValueError:
            raise ValueError(f"{field.name} holds numbers; {value!r} is none") from None
    known = ~field.is_missing
    return np.array(
        [
            is_known and value in str(own).split(SEPARATOR)
            for own, is_known in zip(field.values, known, strict=True)
        ],
        bool,
    )


class ItemAttributeAffinity(ItemAffinity):
    """Rank users for all items with given attributes.

    A user's affinity to a kind of items is the sum of their affinities to the single items, as
    :class:`~personalens.recipes.item_affinity.ItemAffinity` has them: the more of a kind a user
    would come to, the higher the user stands.

    Notes
    -----
    It is measured by the questions ``field = "category"``, one for each category that occurs among
    the items of the truths. Categories are the categorical fields'; numbers can be asked for but
    are not measured.

    Amazon Personalize: recipe aws-item-attribute-affinity; a line
    ``{"itemAttributes": "ITEMS.genres = \\"Drama\\""}`` of a batch segment job.
    """

    name = "aws-item-attribute-affinity"
    description = (
        "For attributes of items, such as a genre, the users who will most likely come to "
        "items that have them."
    )
    dataset_types = ("Interactions", "Items")
    segments_by = "itemAttributes"

    def _fit(self, interactions, items, users, progress, refit):
        fields = {} if items is None else items.fields
        if not any(field.kind != "text" for field in fields.values()):
            raise CannotLearn(
                f"{self.name} needs items with at least one field that is not running text: give "
                "items="
            )
        self.attributes_ = items
        super()._fit(interactions, items, users, progress, refit)

    def matching_items(self, query: str) -> np.ndarray:
        """Return the codes of the items of an expression such as ``ITEMS.genres = "Drama"``;
        ValueError if no item of the training data has these attributes."""
        codes = items_with_attributes(self.attributes_, query)
        if not len(codes):
            raise ValueError(f"no item of the training data matches {query}")
        return codes

    def _questions(self, holdout: WithinUserHoldout) -> list[Question]:
        came = {int(question.item_codes[0]): question for question in self._users_who_came(holdout)}
        questions = []
        for field in self.attributes_.fields.values():
            if field.kind != "categorical":
                continue
            offsets, codes, vocabulary = categorical_values(field)
            owner = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
            for category in range(len(vocabulary)):
                items = owner[codes == category]
                users = [came[item].user_codes for item in items.tolist() if item in came]
                if users:
                    questions.append(Question(items, np.unique(np.concatenate(users))))
        return questions

    def _tensors(self) -> dict[str, np.ndarray]:
        return super()._tensors() | {"attributes": self.attributes_.to_arrays()}

    def _restore(self, tensors: dict[str, np.ndarray]) -> None:
        super()._restore(tensors)
        self.attributes_ = Metadata.from_arrays(tensors["attributes"])
