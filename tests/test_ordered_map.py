"""Work side by side, handed out in order."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from prep.runtime.ordered_map import ordered_map


def test_results_come_in_the_items_order_however_long_each_takes() -> None:
    last_is_done = threading.Event()

    def double(item: int) -> int:
        if item == 3:
            last_is_done.set()
        else:
            assert last_is_done.wait(30)
        return item * 2

    with ThreadPoolExecutor(4) as pool:
        assert list(ordered_map(pool, double, range(4), ahead=4)) == [(0, 0), (1, 2), (2, 4), (3, 6)]


@pytest.mark.parametrize("ahead", [1, 3, 50])
def test_no_more_items_are_taken_than_allowed(ahead: int) -> None:
    taken = 0

    def items() -> Iterator[int]:
        nonlocal taken
        for item in range(20):
            taken += 1
            yield item

    with ThreadPoolExecutor(2) as pool:
        for handed_out, (item, result) in enumerate(ordered_map(pool, str, items(), ahead), start=1):
            assert result == str(item)
            assert taken <= handed_out + ahead
    assert taken == handed_out == 20


def test_no_items_give_nothing() -> None:
    with ThreadPoolExecutor(1) as pool:
        assert list(ordered_map(pool, str, [], ahead=4)) == []


def test_the_function_gets_what_is_sent_of_an_item() -> None:
    with ThreadPoolExecutor(2) as pool:
        items = [("a", object), ("b", object)]
        results = ordered_map(pool, str.upper, items, ahead=1, payload=lambda item: item[0])
        assert list(results) == [(("a", object), "A"), (("b", object), "B")]


def test_an_error_comes_in_its_place() -> None:
    with ThreadPoolExecutor(2) as pool:
        results = ordered_map(pool, lambda item: 1 // item, [1, 0, 1], ahead=3)
        assert next(results) == (1, 1)
        with pytest.raises(ZeroDivisionError):
            next(results)
