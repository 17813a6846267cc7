import numpy as np
import pytest

from personalens.training.factorization import (
    semantic_vectors,
    tf_idf,
    unit_rows,
    unit_vectors,
    words_of,
)


def test_words():
    assert words_of("In the U.S.A., 1945: a CAFÉ") == ["in", "the", "1945", "café"]
    assert words_of("ﬁlm") == ["film"]  # one letter in print, two in a search
    assert words_of("a ! -") == []


def test_weights_by_hand():
    # Three texts; "sea" stands in one, "ship" in two of them.
    table = tf_idf(["sea ship ship", "ship", None]).toarray()
    sea, ship = 1 + np.log(4 / 2), 1 + np.log(4 / 3)
    first = np.array([sea, (1 + np.log(2)) * ship])
    np.testing.assert_allclose(table[0], first / np.linalg.norm(first))
    np.testing.assert_allclose(table[1], [0, 1])
    assert not table[2].any()


def test_all_directions_keep_all_products():
    table = tf_idf(["sea ship storm", "ship harbour", "rome wedding", "wedding ship", ""])
    vectors = semantic_vectors(table, 5)
    np.testing.assert_allclose(vectors @ vectors.T, (table @ table.T).toarray(), atol=1e-5)


def test_few_directions_bring_together_what_goes_together():
    # "boat" and "vessel" never meet, but both keep company with harbour and sail.
    texts = ["boat harbour sail"] * 3 + ["vessel harbour sail"] * 3 + ["wedding rome love"] * 3
    texts += ["boat", "vessel", "love"]
    table = tf_idf(texts)
    assert (table @ table.T).toarray()[-3, -2] == 0
    near = unit_vectors(semantic_vectors(table, 2))
    assert near[-3] @ near[-2] > 0.9
    assert near[-3] @ near[-1] < 0.1


def test_texts_without_words_are_nothing():
    table = tf_idf(["", None, "a"])
    assert table.shape == (3, 0)
    vectors = unit_vectors(semantic_vectors(table, 4))
    assert vectors.shape == (3, 4)
    assert not vectors.any()


def test_rows_have_length_one():
    rows = unit_rows(tf_idf(["sea ship", "ship", ""]))
    assert np.sqrt((rows * rows).sum(axis=1)).tolist() == pytest.approx([1, 1, 0])
