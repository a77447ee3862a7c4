"""What decides: the rule of each step, its program, and the function behind each reason."""

from typing import NamedTuple

from prep.records.reason import Reason


class Rule(NamedTuple):
    """A rule: the file that holds it, its program, and the function or module that decides."""

    file: str
    program: str
    function: str


_FETCH, _CONVERT, _TEXT, _IMAGE = (f"rules/{stage}.smk" for stage in ("fetch", "convert", "text", "image"))
_FORMS = ("llava", "messages", "caption", "qa", "ocr")

RULES = {
    "list_shards": Rule(_FETCH, "list_shards.py", "list_shards.limit_rows"),
    "fetch_shard": Rule(_FETCH, "fetch_shard.py", "prep.hub.dataset"),
    **{
        f"convert_{form}": Rule(_CONVERT, f"convert_{form}.py", "prep.convert.shard.convert_rows")
        for form in _FORMS
    },
    "assemble_artifact": Rule(_CONVERT, "assemble_artifact.py", "assemble_artifact.join_pictures"),
    "read_questions": Rule(_TEXT, "read_questions.py", "prep.convert.questions.parse_rows"),
    "sample_images": Rule(_IMAGE, "sample_images.py", "sample_images.sample_positions"),
    "sample_questions": Rule(_IMAGE, "sample_questions.py", "sample_questions.sample_positions"),
    "filter_text": Rule(_TEXT, "filter_text.py", "prep.deduplication.filtering.QuestionFilter"),
    "filter_image": Rule(_IMAGE, "filter_image.py", "prep.deduplication.filtering.QuestionFilter"),
    "batch_questions": Rule(_TEXT, "batch_questions.py", "batch_questions.batch_tables"),
    "answer_text": Rule(_TEXT, "answer_text.py", "prep.reasoning.answer_format.parse_answer"),
    "answer_image": Rule(_IMAGE, "answer_image.py", "prep.reasoning.answer_format.parse_answer"),
    "answer_blind": Rule(_IMAGE, "answer_blind.py", "prep.reasoning.answer_format.parse_answer"),
    "compare_text": Rule(_TEXT, "compare_text.py", "prep.comparison.comparer.Comparer"),
    "compare_image": Rule(_IMAGE, "compare_image.py", "prep.comparison.comparer.Comparer"),
    "compare_blind": Rule(_IMAGE, "compare_image.py", "prep.comparison.comparer.Comparer"),
    "judge_text": Rule(_TEXT, "judge_text.py", "prep.reasoning.verdict.count_votes"),
    "judge_image": Rule(_IMAGE, "judge_image.py", "prep.reasoning.verdict.count_votes"),
    "judge_blind": Rule(_IMAGE, "judge_image.py", "prep.reasoning.verdict.count_votes"),
    "render_text": Rule(_TEXT, "render_text.py", "prep.reasoning.samples.select_answers"),
    "select_image": Rule(_IMAGE, "select_image.py", "prep.reasoning.samples.select_answers"),
}
"""The rules that a row passes, by name, in the order of the data."""

FURTHER = "rules/teachers.smk"
"""The file of a rule for a further teacher, which is called `answer_text_TEACHER`."""

_PICTURES = dict.fromkeys(
    (Reason.IMAGE_MISSING, Reason.IMAGE_UNREADABLE, Reason.IMAGE_TOO_LARGE),
    "prep.convert.shard.find_pictures_rejection",
)
_CONVERSATION = dict.fromkeys(
    (
        *(Reason.NO_CONVERSATION, Reason.SYSTEM_TURN, Reason.ODD_TURNS, Reason.WRONG_SPEAKER),
        *(Reason.VALUE_MISSING, Reason.NO_IMAGE_TAG, Reason.SEVERAL_IMAGE_TAGS, Reason.WRONG_IMAGE_TAGS),
        *(Reason.MEDIA_TAG_IN_QUESTION, Reason.MEDIA_TAG_IN_ANSWER, Reason.THINK_TAG_IN_ANSWER),
    ),
    "prep.records.conversation.build_messages",
)
_CELLS = {
    Reason.ROW_INVALID: "prep.containers.rows.convert_cells",
    Reason.CHOICE_INVALID: "prep.records.choices.add_choices",
}
_OCR = dict.fromkeys(
    (Reason.GROUND_TRUTH_INVALID, Reason.TEXT_EMPTY, Reason.MEDIA_TAG_IN_TEXT), "prep.convert.ocr.parse_text"
)
_QA = dict.fromkeys((Reason.QUESTION_EMPTY, Reason.TEXT_EMPTY), "prep.convert.qa.build_messages")
_SOURCE = _PICTURES | _CONVERSATION | _CELLS
_FILTER = {
    Reason.CONTAMINATED: "prep.deduplication.contamination",
    Reason.DUPLICATE: "prep.deduplication.duplicates",
}
_REQUEST = dict.fromkeys(
    (
        *(Reason.TRANSPORT, Reason.TIMEOUT, Reason.RATE_LIMITED, Reason.SERVER_ERROR, Reason.CUT_JSON),
        *(Reason.MALFORMED, Reason.BAD_REQUEST),
    ),
    "prep.inference.client.Client",
)
_ANSWER = _REQUEST | {
    Reason.REPETITION: "prep.inference.streaming.find_repetition",
    Reason.REFUSAL: "prep.reasoning.content_check.find_refusal",
    Reason.PROMPT_QUOTED: "prep.reasoning.content_check.find_quote",
    Reason.OTHER_LANGUAGE: "prep.reasoning.content_check.find_other_language",
}
_SELECTION = {Reason.PICTURE_NOT_NEEDED: "prep.reasoning.blind_check.find_needs"}
_PAGES = dict.fromkeys(
    (Reason.MISSING_GLYPH, Reason.TOO_LONG_TO_RENDER, Reason.QUESTION_EMPTY),
    "prep.rendering.typeset.Typesetter.render",
)
_DECIDED_BY = {
    **{f"convert_{form}": _SOURCE for form in ("llava", "messages")},
    "convert_caption": _SOURCE | {Reason.TEXT_EMPTY: "prep.convert.caption.build_messages"},
    "convert_qa": _SOURCE | _QA,
    "convert_ocr": _SOURCE | _OCR,
    "read_questions": _SOURCE,
    **dict.fromkeys(("filter_text", "filter_image"), _FILTER),
    **dict.fromkeys(("answer_text", "answer_image", "answer_blind"), _ANSWER),
    "render_text": _SELECTION | _PAGES,
    "select_image": _SELECTION,
}
SELECTS = {"text": "render_text", "image": "select_image"}
"""The rules that select answers."""
FILTERED = frozenset(_FILTER)
"""Why a question is rejected that was read, before it is asked."""
ANSWER_REASONS = frozenset(
    (
        *_ANSWER,
        *(Reason.LENGTH, Reason.CONTENT_FILTER, Reason.NOT_STOPPED, Reason.EMPTY, Reason.ANSWER_MALFORMED),
        *(Reason.TEMPLATE_TOKEN_IN_ANSWER, Reason.MEDIA_TAG_IN_ANSWER, Reason.TEXT_NOT_UTF8),
    )
)
"""Why an answer is rejected for itself, before anyone judges it."""


def find_function(rule: str, reason: str | None = None) -> str:
    """The function or module of ours that decides in a rule, or that finds a reason there."""
    return _DECIDED_BY.get(rule, {}).get(reason) or RULES[rule].function
