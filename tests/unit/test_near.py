"""What someone may have meant."""

from __future__ import annotations

from kit._near import did_you_mean, nearest


def test_the_nearest_word_is_found_if_one_is_near() -> None:
    assert nearest("framwork", {"license": 1, "framework": 2}) == "framework"
    assert nearest("zzz", ["license", "framework"]) is None


def test_what_is_offered_is_a_sentence() -> None:
    assert did_you_mean("a", "b") == "Did you mean 'a' or 'b'?"
    assert did_you_mean(None) is None
