"""Patterns of the service models mean in Python what they mean in Java."""

from __future__ import annotations

import unicodedata

import pytest

from personalens.aws.request_validation import UntranslatablePattern, compile_pattern
from personalens.aws.service_models import SERVICES, load_model

NAME = r"^[a-zA-Z0-9][a-zA-Z0-9\-_]*"
ARN = r"arn:([a-z\d-]+):personalize:.*:.*:.+"
TAG = r"^([\p{L}\p{Z}\p{N}_.:/=+\-@]*)$"


def matches(pattern, text):
    return compile_pattern(pattern).fullmatch(text) is not None


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        (NAME, "my-films_1", True),
        (NAME, "-films", False),
        (NAME, "my films", False),  # no $ in the pattern: the whole value must match all the same
        (NAME, "films\n", False),
        (NAME, "filmé", False),
        (ARN, "arn:aws:personalize:us-east-1:123456789012:schema/x", True),
        (ARN, "arn:aws-cn:personalize:::recipe/x", True),
        (ARN, "arn:aws:s3:::bucket", False),
        (ARN, "arn:aws:personalize:us-east-1:1:schema/x\u2028y", False),
        (r"rate\(\d+ days?\)", "rate(7 days)", True),
        (r"rate\(\d+ days?\)", "rate(٧ days)", False),
        (r"\p{ASCII}{0,1500}", "a\n~", True),
        (r"\p{ASCII}{0,1500}", "é", False),
        (r"a.c", "a\u0085c", False),
        (r"a.c", "abc", True),
        (r"a[.]c", "abc", False),
        (r"a\.c", "abc", False),
        (r"\w+", "é", False),
        (r"^[\x20-\x7E]*[\x21-\x7E]+[\x20-\x7E]*$", "  x ", True),
        (r"^[\x20-\x7E]*[\x21-\x7E]+[\x20-\x7E]*$", "   ", False),
    ],
)
def test_a_pattern_matches_as_java_does(pattern, text, expected):
    assert matches(pattern, text) is expected


def test_tag_patterns_know_every_letter_number_and_separator():
    fullmatch = compile_pattern(TAG).fullmatch
    wrong = [
        hex(code)
        for code in range(0x11_0000)
        if (fullmatch(chr(code)) is not None)
        != (unicodedata.category(chr(code))[0] in "LZN" or chr(code) in "_.:/=+-@")
    ]
    assert wrong == []


def test_every_pattern_of_the_three_models_is_translated():
    patterns = {
        shape.metadata["pattern"]
        for service in SERVICES
        for shape in map(load_model(service).shape_for, load_model(service).shape_names)
        if "pattern" in shape.metadata
    }
    assert len(patterns) > 5
    for pattern in patterns:
        assert compile_pattern(pattern).pattern


@pytest.mark.parametrize(
    "pattern", [r"\p{Emoji}", r"[a-z&&[^q]]", r"[a[b]]", r"\p{L", r"(", r"\Q.\E"]
)
def test_a_pattern_without_counterpart_is_refused_not_misread(pattern):
    with pytest.raises(UntranslatablePattern):
        compile_pattern(pattern)
