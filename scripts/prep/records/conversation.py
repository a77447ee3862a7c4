"""Validation of LLaVA conversations: training messages, or the first rule that is broken."""

from collections.abc import Sequence

from prep.records.reason import Reason
from prep.records.tags import AUDIO_OR_VIDEO_TAG, IMAGE_TAG, MEDIA_TAG, THINK_TAG

Turn = tuple[str | None, str | None]
"""A turn as (speaker, text)."""


def build_messages(
    turns: Sequence[Turn] | None, prepend_tag: bool, pictures: int | None = None
) -> list[dict[str, str]] | Reason:
    """The messages of a LLaVA conversation about one picture, or the first rule that it breaks.

    Kept: `human` and `gpt` strictly in turn, each with a text; at most one `<image>` (counted as it is
    spelled) in the first human turn, where a missing one is put in front when `prepend_tag` says so;
    no other media tag there, none in later turns or answers, and no think tag in an answer (these tests
    ignore case). Texts are otherwise untouched. A turn may also be None: it has neither speaker nor text.
    A leading `system` turn has a reason of its own.

    A row whose pictures are a list has as many tags as `pictures`, in any human turns; where there is none at
    all, they are put in front of the first.
    """
    if not turns:
        return Reason.NO_CONVERSATION
    if turns[0][0] == "system":
        return Reason.SYSTEM_TURN
    if len(turns) % 2:
        return Reason.ODD_TURNS
    if any(speaker != ("human", "gpt")[i % 2] for i, (speaker, _) in enumerate(turns)):
        return Reason.WRONG_SPEAKER
    texts = [text for _, text in turns if text is not None]
    if len(texts) < len(turns):
        return Reason.VALUE_MISSING

    questions, answers = texts[::2], texts[1::2]
    if pictures is None:
        broken = _check_tag(questions, prepend_tag)
    else:
        broken = _check_tags(questions, prepend_tag, pictures)
    if broken:
        return broken
    if any(MEDIA_TAG.search(text) for text in answers):
        return Reason.MEDIA_TAG_IN_ANSWER
    if any(THINK_TAG.search(text) for text in answers):
        return Reason.THINK_TAG_IN_ANSWER

    if not any(IMAGE_TAG in question for question in questions):
        texts[0] = put_tags(texts[0], pictures)
    return [{"content": text, "role": ("user", "assistant")[i % 2]} for i, text in enumerate(texts)]


def put_tags(text: str, pictures: int | None) -> str:
    """A user turn with a tag in front for each picture; `pictures` is None for the one of a single column."""
    return f"{IMAGE_TAG}\n" * (1 if pictures is None else pictures) + text


def _check_tag(questions: list[str], prepend_tag: bool) -> Reason | None:
    """The first rule that the tags of human turns break where the row has one picture."""
    first, *later = questions
    tags = first.count(IMAGE_TAG)
    if tags > 1:
        return Reason.SEVERAL_IMAGE_TAGS
    if tags == 0 and not prepend_tag:
        return Reason.NO_IMAGE_TAG
    if AUDIO_OR_VIDEO_TAG.search(first) or any(MEDIA_TAG.search(text) for text in later):
        return Reason.MEDIA_TAG_IN_QUESTION
    return None


def _check_tags(questions: list[str], prepend_tag: bool, pictures: int) -> Reason | None:
    """The first rule that the tags of human turns break where the row has a list of pictures."""
    tags = sum(question.count(IMAGE_TAG) for question in questions)
    if tags == 0 and not prepend_tag:
        return Reason.NO_IMAGE_TAG
    if tags not in (0, pictures):
        return Reason.WRONG_IMAGE_TAGS
    if sum(len(MEDIA_TAG.findall(question)) for question in questions) > tags:
        return Reason.MEDIA_TAG_IN_QUESTION
    return None
