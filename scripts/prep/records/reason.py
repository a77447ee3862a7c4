"""Rejection reasons: a closed enum, and the only place where they are spelled."""

from enum import StrEnum


class Reason(StrEnum):
    """The closed list of reasons, in the order of the data's way through the build.

    `report.formatting.MEANINGS` says what each means: a sentence reworded there makes only the card and
    the report stale.
    """

    ROW_INVALID = "row_invalid"
    IMAGE_MISSING = "image_missing"
    IMAGE_UNREADABLE = "image_unreadable"
    IMAGE_TOO_LARGE = "image_too_large"
    TEXT_NOT_UTF8 = "text_not_utf8"

    NO_CONVERSATION = "no_conversation"
    SYSTEM_TURN = "system_turn"
    ODD_TURNS = "odd_turns"
    WRONG_SPEAKER = "wrong_speaker"
    VALUE_MISSING = "value_missing"
    NO_IMAGE_TAG = "no_image_tag"
    SEVERAL_IMAGE_TAGS = "several_image_tags"
    WRONG_IMAGE_TAGS = "wrong_image_tags"
    MEDIA_TAG_IN_QUESTION = "media_tag_in_question"
    MEDIA_TAG_IN_ANSWER = "media_tag_in_answer"
    THINK_TAG_IN_ANSWER = "think_tag_in_answer"

    GROUND_TRUTH_INVALID = "ground_truth_invalid"
    CHOICE_INVALID = "choice_invalid"
    TEXT_EMPTY = "text_empty"
    MEDIA_TAG_IN_TEXT = "media_tag_in_text"

    QUESTION_INVALID = "question_invalid"
    QUESTION_EMPTY = "question_empty"
    CONTAMINATED = "contaminated"
    DUPLICATE = "duplicate"

    TRANSPORT = "transport"
    TIMEOUT = "timeout"
    RATE_LIMITED = "rate_limited"
    SERVER_ERROR = "server_error"
    CUT_JSON = "cut_json"
    MALFORMED = "malformed"
    BAD_REQUEST = "bad_request"
    LENGTH = "length"
    REPETITION = "repetition"
    CONTENT_FILTER = "content_filter"
    NOT_STOPPED = "not_stopped"
    EMPTY = "empty"
    TEMPLATE_TOKEN_IN_ANSWER = "template_token_in_answer"
    ANSWER_MALFORMED = "answer_malformed"
    REFUSAL = "refusal"
    PROMPT_QUOTED = "prompt_quoted"
    OTHER_LANGUAGE = "other_language"

    JUDGE_UNCLEAR = "judge_unclear"
    JUDGE_FAIL = "judge_fail"
    LOW_SCORE = "low_score"
    ANSWER_DISAGREES = "answer_disagrees"
    PASS_RATE = "pass_rate"
    PICTURE_NOT_NEEDED = "picture_not_needed"
    NOT_BEST = "not_best"

    MISSING_GLYPH = "missing_glyph"
    TOO_LONG_TO_RENDER = "too_long_to_render"


Rejection = tuple[Reason, str]
"""Why a row is not kept: a reason, and what was found."""
