"""The conversation rules: one case for each reason and boundary, and what holds for any conversation."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from converted import broken_invariants
from nasty import Conversation, conversations
from prep.records.conversation import build_messages
from prep.records.reason import Reason

READABLE = [case for case in conversations() if Reason.TEXT_NOT_UTF8 not in (case.prepend, case.reject)]


def turns_of(case: Conversation) -> list | None:
    return case.turns and [turn or (None, None) for turn in case.turns]


@pytest.mark.parametrize("case", READABLE, ids=lambda case: case.name)
def test_each_conversation_has_its_fate(case: Conversation) -> None:
    for prepend_tag, reason in ((True, case.prepend), (False, case.reject)):
        found = build_messages(turns_of(case), prepend_tag)
        assert (found if isinstance(found, Reason) else None) == reason


def test_every_reason_is_met() -> None:
    met = {build_messages(turns_of(case), False) for case in READABLE if case.reject}
    assert met == {
        Reason.NO_CONVERSATION,
        Reason.SYSTEM_TURN,
        Reason.ODD_TURNS,
        Reason.WRONG_SPEAKER,
        Reason.VALUE_MISSING,
        Reason.NO_IMAGE_TAG,
        Reason.SEVERAL_IMAGE_TAGS,
        Reason.MEDIA_TAG_IN_QUESTION,
        Reason.MEDIA_TAG_IN_ANSWER,
        Reason.THINK_TAG_IN_ANSWER,
    }


def test_texts_are_untouched_and_roles_are_the_trainers() -> None:
    turns = [("human", " <image>\r\n Wo?\t"), ("gpt", "\n A.\x00 "), ("human", "Und?"), ("gpt", "")]
    assert build_messages(turns, True) == [
        {"content": " <image>\r\n Wo?\t", "role": "user"},
        {"content": "\n A.\x00 ", "role": "assistant"},
        {"content": "Und?", "role": "user"},
        {"content": "", "role": "assistant"},
    ]


def test_a_missing_tag_is_put_in_front_of_the_first_question_alone() -> None:
    turns = [("human", "What?"), ("gpt", "A cat."), ("human", "Whose?"), ("gpt", "Ours.")]
    found = build_messages(turns, True)
    assert [message["content"] for message in found] == ["<image>\nWhat?", "A cat.", "Whose?", "Ours."]
    assert turns[0] == ("human", "What?")


def test_the_first_rule_that_is_broken_is_the_reason() -> None:
    everything = [("gpt", "<image><image><video>"), ("gpt", None), ("gpt", "<think><audio>")]
    assert build_messages(everything, False) == Reason.ODD_TURNS
    assert build_messages(everything[:2], False) == Reason.WRONG_SPEAKER
    tags = [("human", "<image><image><video>"), ("gpt", "<think><audio>")]
    assert build_messages(tags, False) == Reason.SEVERAL_IMAGE_TAGS
    assert build_messages([("human", "<video>"), tags[1]], False) == Reason.NO_IMAGE_TAG
    assert build_messages([("human", "<video>"), tags[1]], True) == Reason.MEDIA_TAG_IN_QUESTION
    assert build_messages([("human", "<image>"), tags[1]], True) == Reason.MEDIA_TAG_IN_ANSWER


pieces = st.sampled_from(
    [
        "<image>",
        "<IMAGE>",
        "<Image>",
        "<video>",
        "<AUDIO>",
        "<think>",
        "</Think>",
        "<",
        "image>",
        "\n",
        "Hi",
        "",
    ]
)
texts = st.none() | st.text() | st.lists(pieces | st.text(max_size=3)).map("".join)
speakers = st.none() | st.sampled_from(["human", "gpt", "Human", "system", ""])
any_turns = st.none() | st.lists(st.tuples(speakers, texts), max_size=6)
fair_turns = st.lists(st.tuples(texts, texts), min_size=1, max_size=3).map(
    lambda rounds: [turn for asked, said in rounds for turn in (("human", asked), ("gpt", said))]
)


@given(any_turns | fair_turns, st.booleans())
def test_a_conversation_is_kept_whole_or_has_one_reason(turns: list | None, prepend_tag: bool) -> None:
    found = build_messages(turns, prepend_tag)
    if isinstance(found, Reason):
        return
    assert broken_invariants({"messages": found, "images": [{"bytes": b"a picture"}]}) == []
    given_texts = [text for _, text in turns]
    assert [message["content"] for message in found[1:]] == given_texts[1:]
    assert found[0]["content"] in (given_texts[0], "<image>\n" + given_texts[0])


@given(any_turns | fair_turns)
def test_putting_the_tag_in_front_only_mends_that_it_is_missing(turns: list | None) -> None:
    strict, lenient = build_messages(turns, False), build_messages(turns, True)
    if strict != Reason.NO_IMAGE_TAG:
        assert lenient == strict
    elif not isinstance(lenient, Reason):
        assert lenient[0]["content"] == "<image>\n" + turns[0][1]


@given(fair_turns, st.booleans())
def test_a_kept_conversation_is_kept_again_unchanged(turns: list, prepend_tag: bool) -> None:
    found = build_messages(turns, prepend_tag)
    if isinstance(found, Reason):
        return
    speaker = {"user": "human", "assistant": "gpt"}
    again = [(speaker[message["role"]], message["content"]) for message in found]
    assert build_messages(again, False) == found


@pytest.mark.parametrize(
    ("questions", "pictures", "mended", "rejected"),
    [
        (["<image>a"], 1, None, None),
        (["<image>a<image>"], 2, None, None),
        (["<image>a", "<image>b"], 2, None, None),
        (["a", "<image>b"], 1, None, None),
        (["a"], 2, None, Reason.NO_IMAGE_TAG),
        (["a", "b"], 1, None, Reason.NO_IMAGE_TAG),
        (["<image>a"], 2, Reason.WRONG_IMAGE_TAGS, Reason.WRONG_IMAGE_TAGS),
        (["<image>a", "<image>b"], 1, Reason.WRONG_IMAGE_TAGS, Reason.WRONG_IMAGE_TAGS),
        (["<image>a<video>"], 1, Reason.MEDIA_TAG_IN_QUESTION, Reason.MEDIA_TAG_IN_QUESTION),
        (["<image>a", "<audio>b"], 1, Reason.MEDIA_TAG_IN_QUESTION, Reason.MEDIA_TAG_IN_QUESTION),
        (["a<video>"], 1, Reason.MEDIA_TAG_IN_QUESTION, Reason.NO_IMAGE_TAG),
    ],
)
def test_a_list_of_pictures_has_as_many_tags(
    questions: list[str], pictures: int, mended: Reason | None, rejected: Reason | None
) -> None:
    turns = [turn for question in questions for turn in (("human", question), ("gpt", "b"))]
    for prepend_tag, reason in ((True, mended), (False, rejected)):
        found = build_messages(turns, prepend_tag, pictures)
        if reason:
            assert found == reason
        else:
            told = "".join(turn["content"] for turn in found if turn["role"] == "user")
            assert told.count("<image>") == pictures
            assert told.replace("<image>\n", "").replace("<image>", "") == "".join(questions).replace(
                "<image>", ""
            )


@pytest.mark.parametrize(
    ("place", "text", "reason"),
    [
        (2, "<image>", Reason.MEDIA_TAG_IN_QUESTION),
        (4, "<video>", Reason.MEDIA_TAG_IN_QUESTION),
        (3, "<Audio>", Reason.MEDIA_TAG_IN_ANSWER),
        (5, "<image>", Reason.MEDIA_TAG_IN_ANSWER),
        (3, "<think>", Reason.THINK_TAG_IN_ANSWER),
        (5, "</think>", Reason.THINK_TAG_IN_ANSWER),
        (5, None, Reason.VALUE_MISSING),
        (5, "no tag", None),
    ],
)
def test_each_of_three_rounds_is_looked_at(place: int, text: str | None, reason: Reason | None) -> None:
    turns = [(("human", "gpt")[turn % 2], "<image>" if turn == 0 else "a") for turn in range(6)]
    turns[place] = (turns[place][0], text)
    found = build_messages(turns, False)
    if reason:
        assert found == reason
    else:
        assert found == [
            {"content": content, "role": {"human": "user", "gpt": "assistant"}[speaker]}
            for speaker, content in turns
        ]
    turns[4], turns[5] = ("gpt", "a"), ("human", "a")
    assert build_messages(turns, False) == Reason.WRONG_SPEAKER
