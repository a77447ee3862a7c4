"""The funnel: each answer is counted at every step that it came to, by source and mode."""

from prep.reasoning.funnel import STEPS, Funnel, merge_lines


def answer(question: str, mode: str = "thinking", reason: str | None = None) -> dict:
    return {"question_id": f"{question}/train:1", "mode": mode, "reason": reason}


def test_an_answer_is_counted_at_each_step_that_it_came_to():
    funnel = Funnel()
    funnel.add(answer("a/b"), "agrees", has_passed=True, is_kept=True)
    funnel.add(answer("a/b"), "disagrees", has_passed=False, is_kept=False)
    funnel.add(answer("a/b"), "cannot_tell", has_passed=True, is_kept=False)
    funnel.add(answer("a/b", reason="refusal"), None, has_passed=False, is_kept=False)
    funnel.add(answer("a/b", reason="timeout"), None, has_passed=False, is_kept=False)
    funnel.add(answer("a/b", "no_thinking"), None, has_passed=False, is_kept=True)  # keep_failed
    names = ("source", "mode", *STEPS)
    assert [tuple(line[name] for name in names) for line in funnel.lines()] == [
        ("a/b", "thinking", 5, 4, 3, 1, 1, 1, 2, 1),
        ("a/b", "no_thinking", 1, 1, 1, 0, 0, 0, 0, 1),
    ]


def test_the_lines_of_batches_add_up_in_the_order_in_which_they_came():
    first, second = Funnel(), Funnel()
    first.add(answer("b"), "agrees", has_passed=True, is_kept=True)
    second.add(answer("a"), None, has_passed=False, is_kept=False)
    second.add(answer("b"), None, has_passed=True, is_kept=False)
    lines = [*first.lines(), *second.lines()]
    merged = merge_lines(lines)
    assert [(line["source"], line["asked"], line["passed"], line["kept"]) for line in merged] == [
        ("b", 2, 2, 1),
        ("a", 1, 0, 0),
    ]
    assert lines[0]["asked"] == 1
