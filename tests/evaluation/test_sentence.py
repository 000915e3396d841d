"""A sentence's verb follows from the interval, and from nothing else."""

import doctest
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cinv_lib.evaluation import sentence, statistics

NUMBER = st.floats(-50, 50)
HALF = st.floats(0, 50, exclude_min=True)


def test_the_examples_of_the_module_are_right():
    assert doctest.testmod(sentence).failed == 0


@given(NUMBER, HALF)
def test_the_verb_agrees_with_the_verdict(value, half_width):
    said = sentence.lead("S", "R", value, half_width, 3)
    verdict = statistics.verdict(value, half_width)
    verbs = {"holds": "S leads R", "does not hold": "S trails R", "not decided": "do not decide"}
    assert [verb for verb in verbs.values() if verb in said] == [verbs[verdict]]


@given(NUMBER)
def test_one_training_decides_nothing(value):
    assert "one training does not decide" in sentence.lead("S", "R", value, math.nan, 1)


@given(NUMBER, HALF, st.floats(0.1, 5))
def test_level_means_that_the_whole_interval_is_within_the_margin(value, half_width, level):
    said = sentence.lead("S", "R", value, half_width, 5, level)
    within = value - half_width > -level and value + half_width < level
    assert ("is level with" in said) == within


def test_a_sentence_joins_its_clauses():
    assert sentence.sentence("a leads") == "A leads."
    assert sentence.sentence("a leads", "b trails") == "A leads and b trails."


@pytest.mark.parametrize(
    "n, words", [(0, "no trainings"), (1, "one training"), (11, "11 trainings")]
)
def test_counts_in_words(n, words):
    assert sentence.count(n, "training") == words
