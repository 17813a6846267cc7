"""The filter language: what its sentences say, and where a wrong one stops making sense."""

from __future__ import annotations

import pytest

from personalens.filters.expressions import FilterError, Parameter, parse_filter
from personalens.filters.masks import values_of


def said(text):
    """Return includes, target and the conditions as plain tuples, expression by expression."""
    return [
        (
            each.includes,
            each.target,
            [[(str(c.field), c.operator, c.values) for c in group] for group in each.alternatives],
        )
        for each in parse_filter(text).expressions
    ]


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        (
            'INCLUDE ItemID WHERE Items.GENRE IN ("Comedy", "War")',
            [(True, "ItemID", [[("Items.GENRE", "IN", ("Comedy", "War"))]])],
        ),
        (
            "exclude itemid where interactions.event_type in (*)",
            [(False, "ItemID", [[("Interactions.event_type", "IN", ())]])],
        ),
        (
            "INCLUDE ItemID WHERE Items.YEAR >= 1970 AND Items.YEAR < 1980.5",
            [(True, "ItemID", [[("Items.YEAR", ">=", (1970.0,)), ("Items.YEAR", "<", (1980.5,))]])],
        ),
        (
            "INCLUDE UserID WHERE Users.STATUS IN ($S) | EXCLUDE UserID WHERE Users.AGE != -1",
            [
                (True, "UserID", [[("Users.STATUS", "IN", (Parameter("S"),))]]),
                (False, "UserID", [[("Users.AGE", "!=", (-1.0,))]]),
            ],
        ),
        (
            "INCLUDE ActionID WHERE Actions.VALUE > ($V)",
            [(True, "ActionID", [[("Actions.VALUE", ">", (Parameter("V"),))]])],
        ),
    ],
)
def test_the_guide_s_shapes_are_read(text, meaning):
    assert said(text) == meaning


def test_and_binds_closer_than_or():
    [(_, _, alternatives)] = said(
        "INCLUDE ItemID WHERE Items.A = 1 AND Items.B = 2 OR Items.C = 3 AND Items.D = 4"
    )
    assert [[field for field, _, _ in group] for group in alternatives] == [
        ["Items.A", "Items.B"],
        ["Items.C", "Items.D"],
    ]


def test_if_asks_of_the_user():
    [expression] = parse_filter(
        "INCLUDE ItemID WHERE Items.GENRE IN ($G) IF CurrentUser.AGE >= 18 AND CurrentUser.AGE < $A"
    ).expressions
    assert [str(c.field) for c in expression.user_conditions] == ["CurrentUser.AGE"] * 2
    assert parse_filter(
        "INCLUDE ItemID WHERE Items.GENRE IN ($G) IF CurrentUser.AGE < $A"
    ).parameters == ("G", "A")


def test_the_current_item_gives_values():
    cheaper, same = parse_filter(
        "INCLUDE ItemID WHERE Items.PRICE < CurrentItem.PRICE AND Items.GENRE IN CurrentItem.GENRE"
    ).conditions
    assert (str(cheaper.reference), str(same.reference)) == (
        "CurrentItem.PRICE",
        "CurrentItem.GENRE",
    )


def test_quotation_marks_and_backslashes():
    [condition] = parse_filter(
        r"""INCLUDE ItemID WHERE Items.T IN ("a \"b\"", 'it''s' , "c\\d")""".replace("''", r"\'")
    ).conditions
    assert condition.values == ('a "b"', "it's", r"c\d")


def test_keywords_may_be_field_names():
    [condition] = parse_filter('INCLUDE ItemID WHERE Items.IN IN ("a")').conditions
    assert condition.field.field == "IN"


@pytest.mark.parametrize(
    ("text", "column", "expected"),
    [
        ("", 1, "INCLUDE or EXCLUDE"),
        ("INCLUDE ItemID", 15, "WHERE"),
        ("INCLUDE Films WHERE Items.A = 1", 9, "ItemID, UserID or ActionID"),
        ("INCLUDE ItemID WHERE (Items.A = 1)", 22, "a name"),
        ('INCLUDE ItemID WHERE Items.A IN ("a" "b")', 38, "a closing parenthesis or a comma"),
        ("INCLUDE ItemID WHERE Items.A IN ()", 34, "a value in quotation marks"),
        ("INCLUDE ItemID WHERE Items.A IS 1", 30, "IN, NOT IN or a comparison"),
        ('INCLUDE ItemID WHERE Items.A = "x"', 32, "a number"),
        ("INCLUDE ItemID WHERE Items.A = 1 IF CurrentUser.B = 2 OR CurrentUser.C = 3", 55, "AND"),
    ],
)
def test_an_error_points_at_its_column(text, column, expected):
    with pytest.raises(FilterError) as caught:
        parse_filter(text)
    message = str(caught.value).splitlines()
    assert message[0].endswith(f"at column {column}:")
    assert message[2] == " " * (column - 1) + "^"
    assert expected in message[3]


def test_an_unknown_dataset_is_named_with_those_there_are():
    with pytest.raises(FilterError, match=r"'Films' in Films\.YEAR; there are: Inter"):
        parse_filter("INCLUDE ItemID WHERE Films.YEAR = 3")


def test_too_long_an_expression_is_refused():
    with pytest.raises(FilterError, match="2501 characters; 2500 at most"):
        parse_filter("x" * 2501)


@pytest.mark.parametrize(
    ("condition", "right"),
    [
        ('Items.GENRE = "Drama"', 'Items.GENRE IN ("Drama")'),
        ("Items.GENRE == 'Drama'", 'Items.GENRE IN ("Drama")'),
        ('Items.YEAR > 1 AND Items.GENRE != "Drama"', 'Items.GENRE NOT IN ("Drama")'),
        ('Items.GENRE = ("Drama")', 'Items.GENRE IN ("Drama")'),
        ("Items.GENRE = Drama", 'Items.GENRE IN ("Drama")'),
        ('Items.GENRE IN "Drama"', 'Items.GENRE IN ("Drama")'),
        ("Items.GENRE IN (Drama)", 'Items.GENRE IN ("Drama")'),
        ('Items.YEAR > 1 IF CurrentUser.PLAN = "family"', 'CurrentUser.PLAN IN ("family")'),
    ],
)
def test_an_error_says_how_a_string_is_compared(condition, right):
    with pytest.raises(FilterError) as caught:
        parse_filter(f"INCLUDE ItemID WHERE {condition}")
    assert str(caught.value).endswith(
        f"Strings take IN, with quotation marks and parentheses: {right}."
    )


def test_an_error_of_another_kind_gives_no_such_advice():
    with pytest.raises(FilterError) as caught:
        parse_filter('INCLUDE ItemID WHERE Items.GENRE IN ("Drama") Items.YEAR > 3')
    assert "Strings take IN" not in str(caught.value)


@pytest.mark.parametrize("text", ["1_0", "٣", "nan", "inf", "1e999", "0x10", ""])
def test_a_number_in_an_odd_spelling_is_refused(text):
    [condition] = parse_filter("INCLUDE ItemID WHERE Items.YEAR > $Y").conditions
    with pytest.raises(FilterError, match="needs one number"):
        values_of(condition, {"Y": text})
    assert values_of(condition, {"Y": " 1990 "}) == (1990.0,)
