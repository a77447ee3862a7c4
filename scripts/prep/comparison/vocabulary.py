"""Closed vocabularies: yes and no, colours, directions and the like, in English and Chinese."""

import re

from prep.comparison.outcome import Outcome, decide
from prep.comparison.plain_text import fold

_AFFIRMED = {
    True: "yes|yeah|yep|true|correct|是|是的|对|对的|正确|真|√|✓|✔|yes it is"
    "|yes it does|yes they are|yes there is|that is correct|没错",
    False: "no|nope|false|incorrect|wrong|否|不|不是|不对|错|错误|错的|假|不正确|×|✗|✘|no it is not"
    "|no it does not|no they are not|不是的",
}
POLARITY = {word: value for value, words in _AFFIRMED.items() for word in words.split("|")}
_FIRST_WORD = re.compile(
    r"(yes|yeah|yep|no|nope|true|false|correct|incorrect|是的|不是的|对的|不对|对|错误|错|正确|不正确|否|是|不是)\s*(?:[,.!:;—–]|$|\n)"
    r"(?P<rest>.*)",
    re.IGNORECASE | re.DOTALL,
)
_TURN = re.compile(
    r"\b(?:but|however|wait|although|though|or|unless|depends?|partly|partially|sometimes|actually|maybe)\b"
    r"|但|不过|然而|或者|取决|有时|也许|其实|等等|除非",
    re.IGNORECASE,
)

_TRUTH = re.compile(r"true|false|correct|incorrect|wrong|对|不对|错|正确|不正确|真|假|√|×", re.IGNORECASE)
_FALSEHOOD = re.compile(r"\b(?:false|wrong|incorrect|untrue|mistake)\b|错", re.IGNORECASE)
_NEGATED = re.compile(r"\b(?:not|no|never|cannot)\b|n't\b|不|没", re.IGNORECASE)
_AFFIRMATION = re.compile(
    r"(?:it|that|they|he|she|there|this)\s+(?:is|are|does|do|can|was|were|has|have)\.?", re.IGNORECASE
)
_CLASSES = {
    "weekday": "monday|mon|星期一|周一|礼拜一; tuesday|tue|tues|星期二|周二; wednesday|wed|星期三|周三;"
    " thursday|thu|thurs|星期四|周四; friday|fri|星期五|周五; saturday|sat|星期六|周六;"
    " sunday|星期日|星期天|周日|周天",
    "month": "january|jan|1月|一月; february|feb|2月|二月; march|3月|三月; april|apr|4月|四月; may|5月|五月;"
    " june|jun|6月|六月; july|jul|7月|七月; august|aug|8月|八月; september|sep|sept|9月|九月;"
    " october|oct|10月|十月; november|nov|11月|十一月; december|dec|12月|十二月",
    "compass": "north|北|北方|北边; south|南|南方|南边; east|东|东方|东边; west|西|西方|西边;"
    " northeast|north-east|东北; northwest|north-west|西北;"
    " southeast|south-east|东南; southwest|south-west|西南",
    "colour": "red|红|红色; blue|蓝|蓝色; green|绿|绿色; yellow|黄|黄色; black|黑|黑色; white|白|白色",
    "side": "left|左|左边|左侧; right|右|右边|右侧",
    "height": "up|上|向上; down|下|向下",
    "sign": "positive|正; negative|负",
    "parity": "even|偶数|even number; odd|奇数|odd number",
    "change": "increase|increases|increasing|增加|增大|上升; decrease|decreases|decreasing|减少|减小|下降",
    "sex": "male|男|男性; female|女|女性",
    "season": "spring|春|春天|春季; summer|夏|夏天|夏季; autumn|fall|秋|秋天|秋季; winter|冬|冬天|冬季",
    "size": "larger|bigger|更大; smaller|更小",
    "chirality": "clockwise|顺时针; counterclockwise|anticlockwise|counter-clockwise|anti-clockwise|逆时针",
    "triangle": "acute|锐角; obtuse|钝角",
    "none": "none|无|没有",
}
CLASSES = {
    word.strip(): (name, number)
    for name, groups in _CLASSES.items()
    for number, words in enumerate(groups.split(";"))
    for word in words.split("|")
}
_AMBIGUOUS = {"right", "fall", "may", "正", "负"}
"""Words of two classes: they are compared only with a word of their own class."""


def read_polarity(text: str) -> bool | None:
    """Yes as True, no as False; also where a sentence follows; None for anything else."""
    plain = fold(text.replace(",", ""))
    if plain in POLARITY:
        return POLARITY[plain]
    found = _FIRST_WORD.match(text.strip())
    if not found or _TURN.search(found["rest"]) or re.match(r"\s*\d", found["rest"]):
        return None
    value = POLARITY[found[1].lower()]
    if _NEGATED.search(found["rest"]) if value else _AFFIRMATION.fullmatch(found["rest"].strip()):
        return None
    for word in re.findall(
        r"\b(?:yes|no|true|false|correct|incorrect|wrong)\b(?=\s*[,.!:;]|\s*$)", found["rest"], re.I
    ):
        if POLARITY[word.lower()] != value:
            return None
    return value


def compare_polarity(reference: str, answer: str, question: str) -> Outcome | None:
    """Compare yes or no; None where the two are not both that.

    Yes to a question that something is false says that it is not true.
    """
    said = read_polarity(reference), read_polarity(answer)
    if None in said:
        return None
    families = {bool(_TRUTH.match(text.strip())) for text in (reference, answer)}
    if len(families) > 1 and (_NEGATED.search(question) or _FALSEHOOD.search(question)):
        return Outcome.CANNOT_TELL
    return decide(said[0] == said[1])


def compare_words(reference: str, answer: str) -> Outcome:
    """Two words of one closed class: the same, or another one; CANNOT_TELL for other words."""
    one, other = CLASSES.get(fold(reference)), CLASSES.get(fold(answer))
    if one is None or other is None or one[0] != other[0]:
        return Outcome.CANNOT_TELL
    return decide(one == other)
