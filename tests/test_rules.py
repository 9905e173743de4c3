"""The token rules, without a model; what they do in the loop is in test_decoding."""

import itertools
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ocr.decoding.rules import Budget, Clock, Deadline, NgramBan, RepetitionStop, common_rules
from ocr.types import Decoding, FinishReason
from tests.checkpoints import GOLDEN

NGRAMS = np.load(GOLDEN / "deepseek" / "ngram_upstream.npz")


def banned_by_definition(ids: Sequence[int], n: int, window: int, whitelist: Sequence[int] = ()) -> set[int]:
    """The makers' rule word for word: look at every n-gram that lies in the last `window` ids."""
    if len(ids) < n:
        return set()
    recent = list(ids[-window:])
    ngrams = [recent[start : start + n] for start in range(len(recent) - n + 1)]
    return {ngram[-1] for ngram in ngrams if ngram[:-1] == recent[len(recent) - n + 1 :]} - set(whitelist)


def fed(rule: NgramBan, ids: Sequence[int]) -> NgramBan:
    for token in ids:
        assert rule.accept(token) is None
    return rule


def test_the_ngram_ban_is_the_references() -> None:
    for ids, n, window, banned in zip(*(NGRAMS[key] for key in ("seqs", "n", "w", "ban")), strict=True):
        rule = fed(NgramBan(int(n), int(window)), ids[ids >= 0].tolist())
        assert set(rule.banned()) == set(np.flatnonzero(banned == 1))


@settings(max_examples=300)
@given(st.lists(st.integers(0, 3), max_size=80), st.integers(2, 6), st.integers(0, 30), st.sets(st.integers(0, 3)))
def test_the_ngram_ban_is_its_plain_definition(ids: list[int], n: int, more: int, whitelist: set[int]) -> None:
    rule = NgramBan(n, n + more, whitelist)
    for length in range(len(ids) + 1):
        assert set(rule.banned()) == banned_by_definition(ids[:length], n, n + more, sorted(whitelist))
        if length < len(ids):
            rule.accept(ids[length])


def test_the_ngram_ban_keeps_no_more_than_its_window() -> None:
    rule = fed(NgramBan(30, 90), range(5000))
    assert len(rule._ngrams) == 61
    assert len(rule._followers) == 61


@pytest.mark.parametrize(("n", "window"), [(1, 90), (30, 29)])
def test_an_ngram_ban_that_could_never_act_is_refused(n: int, window: int) -> None:
    with pytest.raises(ValueError, match="n-gram ban needs"):
        NgramBan(n, window)


def repeats_until(block: Sequence[int], limit: int = 5000) -> int | None:
    rule = RepetitionStop()
    for count, token in enumerate(itertools.islice(itertools.cycle(block), limit), start=1):
        if rule.accept(token) is FinishReason.REPETITION:
            return count
    return None


def test_endless_blocks_end_the_page() -> None:
    assert repeats_until([7]) == 600
    assert repeats_until([1, 2]) == 600  # empty cells: <td></td>, which the n-gram ban lets through
    assert repeats_until(range(110)) == 660
    assert repeats_until(range(129)) is None  # longer blocks are for the n-gram ban and the budget


def test_a_long_table_of_empty_cells_is_no_endless_repetition() -> None:
    row = [5, *[1, 2] * 10, 6]
    assert repeats_until(row * 20, limit=len(row) * 20) is None


def test_text_without_repetition_goes_on() -> None:
    rule = RepetitionStop()
    random = np.random.default_rng(0)
    assert all(rule.accept(int(token)) is None for token in random.integers(0, 50, 3000))


def test_the_deadline_is_of_the_page_s_own_seconds() -> None:
    clock = Clock()
    rules = common_rules(Decoding(deadline_s=2), [1], 99, clock)
    (deadline,) = (rule for rule in rules if isinstance(rule, Deadline))
    clock.seconds = 1.9
    assert deadline.accept(5) is None
    clock.seconds = 2.0
    assert deadline.accept(5) is FinishReason.DEADLINE


def test_a_wanted_ban_is_one_of_the_common_rules() -> None:
    kinds = [type(rule) for rule in common_rules(Decoding(ngram_ban=(3, 9)), [1], 99, Clock())]
    assert kinds[-1] is NgramBan
    assert NgramBan not in [type(rule) for rule in common_rules(Decoding(), [1], 99, Clock())]
    assert Budget in kinds
