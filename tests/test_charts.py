"""prep.report.charts: what a chart shows, and that the page's style sheet alone says how it looks."""

import re
from xml.etree import ElementTree

import pytest

from prep.report.charts import draw_histogram, draw_rates
from prep.report.distributions import LENGTHS, Distribution, count_numbers


def parse(svg: str) -> ElementTree.Element:
    return ElementTree.fromstring(svg)


def list_texts(svg: str) -> list[str]:
    return [each.text for each in parse(svg).iter("text")]


def list_bars(svg: str) -> list[ElementTree.Element]:
    return [each for each in parse(svg).iter("rect") if each.get("class") == "rect"]


def test_a_histogram_has_a_column_a_label_and_a_count_for_each_that_is_not_empty() -> None:
    svg = draw_histogram(Distribution("answer, tokens", [("≤ 10", 1), ("≤ 30", 0), ("> 30", 12_000)], "note"))
    assert list_texts(svg) == ["≤ 10", "≤ 30", "> 30", "1", "12,000"]
    low, high = (float(each.get("height")) for each in list_bars(svg))
    assert low < 1 < 40 < high
    assert parse(svg).get("aria-label") == "answer, tokens: ≤ 10: 1; ≤ 30: 0; > 30: 12,000"


@pytest.mark.parametrize("columns", [[("en", 0)], [("en", 3)], [("a", 0), ("b", 0)]])
def test_a_histogram_of_one_column_or_of_none_is_drawn(columns: list[tuple[str, int]]) -> None:
    svg = draw_histogram(Distribution("t", columns, ""))
    assert len(list_bars(svg)) == sum(count > 0 for _, count in columns)


def test_rates_stand_from_above_in_their_order_each_with_its_interval() -> None:
    rates = [("the first", 0.5, (0.4, 0.6)), ("a label of many words that is cut", 0.0, (0.0, 0.1))]
    svg = draw_rates(rates)
    labels = parse(svg).findall(".//g[@class='axis y']//text")
    heights = {each.text: float(each.get("y")) for each in labels}
    assert heights.keys() == {"the first", "a label of many words …"}
    assert heights["the first"] < heights["a label of many words …"]
    intervals = parse(svg).findall(".//g[@class='ci']/path")
    assert len(intervals) == 2
    (bar,) = list_bars(svg)
    end = float(bar.get("x")) + float(bar.get("width"))
    half = [float(each.get("x")) for each in parse(svg).iter("text") if each.text == "50 %"]
    assert half == [pytest.approx(end, abs=0.2)]
    assert "a label of many words that is cut: 0.0 %, 0 to 10 %" in parse(svg).get("aria-label")


def test_a_chart_brings_no_script_style_date_or_address_and_is_small() -> None:
    chart = count_numbers("answer, characters", [5, 20, 70, 200, 700, 2000, 9000, 20_000], LENGTHS)
    for svg in (draw_histogram(chart), draw_rates([("</svg><script>x", 0.3, (0.1, 0.5))])):
        assert {each.tag for each in parse(svg).iter()} <= {"svg", "g", "rect", "path", "text"}
        assert not re.search(r"style|script>|<!--|http|\bid=|\bon\w+=|fill=", svg)
        assert len(svg) < 2200
    assert draw_histogram(chart) == draw_histogram(chart)
