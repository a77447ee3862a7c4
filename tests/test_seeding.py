"""Draws depend on the seed and the name alone, and a larger share keeps what a smaller one chose."""

from hypothesis import given
from hypothesis import strategies as st

from prep.records import seeding

NAMES = [f"alpaca/x:{row}" for row in range(4000)]


def test_the_ends_of_the_share_choose_none_and_all():
    assert not any(seeding.is_chosen(1, name, 0.0) for name in NAMES)
    assert all(seeding.is_chosen(1, name, 1.0) for name in NAMES)


def test_a_half_is_about_a_half_and_another_seed_another_half():
    one, two = ([seeding.is_chosen(seed, name, 0.5) for name in NAMES] for seed in (1, 2))
    assert 1850 < sum(one) < 2150
    assert one != two


@given(st.text(), st.floats(0, 1), st.floats(0, 1))
def test_a_larger_share_keeps_what_a_smaller_one_chose(name, one, two):
    assert seeding.is_chosen(42, name, min(one, two)) <= seeding.is_chosen(42, name, max(one, two))


def test_numbers_are_those_of_every_machine():
    assert seeding.hash_names(42, "sample", "a") == 0x1CB86F692DD59477
    assert seeding.request_seed(42, "a", "thinking", 0) == 1481312302
    assert seeding.request_seed(42, "a", "thinking", 0) != seeding.request_seed(42, "a", "thinking", 1)
