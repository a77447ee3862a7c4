"""What a judge is told, what it may answer, and what is kept for it."""

import json
import re
from collections.abc import Iterable

from prep.fault import storable
from prep.form import after_thought, whole
from prep.reason import Defect, Reason
from prep.request import Response

RESPONSE_FORMAT = {
    "type": "json_schema",
    "json_schema": {
        "name": "verdict",
        "strict": True,
        "schema": {
            "type": "object",
            "properties": {
                "verdict": {"type": "string", "enum": ["pass", "fail"]},
                "score": {"type": "integer", "minimum": 1, "maximum": 5},
                "reason": {"type": "string", "maxLength": 600},
            },
            "required": ["verdict", "score", "reason"],
            "additionalProperties": False,
        },
    },
}
"""The form of a verdict, as `response_format`, which old and new vLLM constrain the output by."""


def prompt(template: str, question: str, reference: str | None, answer: str) -> str:
    """The template with {question}, {reference} and {answer} filled in, whose own braces mean nothing."""
    values = {"question": question, "reference": reference or "", "answer": answer}
    return re.sub(r"\{(question|reference|answer)\}", lambda found: values[found[1]], template)


def parse(text: str) -> dict | None:
    """The last JSON object after the judge's thoughts, when it is a verdict: pass or fail, and 1 to 5.

    Its strings may hold control characters as they are: vLLM's grammar of a string with a maxLength does.
    """
    rest, last = after_thought(text), None
    decoder = json.JSONDecoder(strict=False)
    at = rest.find("{")
    while at >= 0:
        try:
            last, end = decoder.raw_decode(rest, at)
        except ValueError:
            end = at + 1
        except RecursionError:  # a thousand braces deep there is no verdict, and each try takes long
            return None
        at = rest.find("{", end)
    if not isinstance(last, dict) or last.get("verdict") not in ("pass", "fail"):
        return None
    score = last.get("score")
    if isinstance(score, bool) or not isinstance(score, int) or not 1 <= score <= 5:
        return None
    return last


def verdict_row(id_: str, response: Response) -> dict:
    """A row of prep.schema.VERDICTS: what the judge said of the answer `id_`, or why that is unclear."""
    row = {"id": id_, "verdict": None, "score": None, "reason": None, "detail": None}
    if response.failure:
        return row | {
            "reason": Reason.JUDGE_UNCLEAR,
            "detail": f"{response.failure}: {response.detail or ''}",
        }
    if response.finish_reason != "stop":
        detail = f"the judge's finish_reason is {response.finish_reason}"
        return row | {"reason": Reason.JUDGE_UNCLEAR, "detail": detail}
    found = parse(whole(response))
    if not found:
        detail = storable(f"no verdict in: {after_thought(whole(response))[:200]}")
        return row | {"reason": Reason.JUDGE_UNCLEAR, "detail": detail}
    detail = storable(str(found.get("reason") or ""))
    return row | {"verdict": found["verdict"], "score": found["score"], "detail": detail}


def outcomes(
    answers: Iterable[dict], verdicts: Iterable[dict], min_score: int
) -> dict[str, tuple[int | None, Defect | None]]:
    """Each answer's score, and its defect or None when it is kept, by the answer's id.

    Of an answer only id, question_id, mode, sample, reason and detail are looked at, so that a batch's
    texts need not be in memory. Verdicts are joined by id. Kept is, of each question and mode, what passed
    with the best score of at least `min_score`; among equals the lowest sample number.
    """
    by_id = {row["id"]: row for row in verdicts}
    found: dict[str, tuple[int | None, Defect | None]] = {}
    best: dict[tuple[str, str], tuple[int, int, str]] = {}
    for answer in answers:
        id_, score, defect = answer["id"], *_judged(answer, by_id.get(answer["id"]), min_score)
        found[id_] = score, defect
        if defect is None:
            rivals, rank = (answer["question_id"], answer["mode"]), (-score, answer["sample"], id_)
            worse = max(rank, best.get(rivals, rank))
            best[rivals] = min(rank, best.get(rivals, rank))
            if worse != best[rivals]:
                found[worse[2]] = -worse[0], (Reason.NOT_BEST, f"score {-worse[0]}")
    return found


def _judged(answer: dict, verdict: dict | None, min_score: int) -> tuple[int | None, Defect | None]:
    if answer["reason"]:
        return None, (Reason(answer["reason"]), answer["detail"] or "")
    if verdict is None:
        return None, (Reason.JUDGE_UNCLEAR, "the judge was not heard")
    detail = verdict["detail"] or ""
    if verdict["reason"]:
        return None, (Reason(verdict["reason"]), detail)
    score = verdict["score"]
    if verdict["verdict"] != "pass":
        return score, (Reason.JUDGE_FAIL, f"score {score}: {detail}")
    if score < min_score:
        return score, (Reason.LOW_SCORE, f"score {score}: {detail}")
    return score, None
