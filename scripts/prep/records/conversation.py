"""Validation of LLaVA conversations: training messages, or the first rule that is broken."""

from collections.abc import Sequence

from prep.records.reason import Reason
from prep.records.tags import AUDIO_OR_VIDEO_TAG, IMAGE_TAG, MEDIA_TAG, THINK_TAG

Turn = tuple[str | None, str | None]
"""A turn as (speaker, text)."""


def build_messages(turns: Sequence[Turn] | None, prepend_tag: bool) -> list[dict[str, str]] | Reason:
    """The messages of a LLaVA conversation about one picture, or the first rule that it breaks.

    Kept: `human` and `gpt` strictly in turn, each with a text; at most one `<image>` (counted as it is
    spelled) in the first human turn, where a missing one is put in front when `prepend_tag` says so;
    no other media tag there, none in later turns or answers, and no think tag in an answer (these tests
    ignore case). Texts are otherwise untouched. A turn may also be None: it has neither speaker nor text.
    A leading `system` turn has a reason of its own.
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

    first, later, answers = texts[0], texts[2::2], texts[1::2]
    tags = first.count(IMAGE_TAG)
    if tags > 1:
        return Reason.SEVERAL_IMAGE_TAGS
    if tags == 0 and not prepend_tag:
        return Reason.NO_IMAGE_TAG
    if AUDIO_OR_VIDEO_TAG.search(first) or any(MEDIA_TAG.search(text) for text in later):
        return Reason.MEDIA_TAG_IN_QUESTION
    if any(MEDIA_TAG.search(text) for text in answers):
        return Reason.MEDIA_TAG_IN_ANSWER
    if any(THINK_TAG.search(text) for text in answers):
        return Reason.THINK_TAG_IN_ANSWER

    if tags == 0:
        texts[0] = f"{IMAGE_TAG}\n{first}"
    return [{"content": text, "role": ("user", "assistant")[i % 2]} for i, text in enumerate(texts)]
