"""Escaping of chat-template tokens in untrusted texts (prompt injection by special tokens).

A tokenizer reads `<|im_end|>` in a question as the end of the user's turn. A word joiner (U+2060) after the
token's opening leaves the text as it looks and takes the token apart.
"""

import re

JOINER = "\u2060"
_OPENINGS = {
    # Qwen, GLM, Llama 3, Phi, … `<|im_end|>`; DeepSeek has other bars and spaces: `<｜begin▁of▁sentence｜>`.
    r"<[|｜]": r"[\w▁./-]{3,64}[|｜]>",
    # GLM, Llama 2, Mistral.
    r"\[": r"(?:[gs]MASK|/?INST)\]",
    # GLM, Gemma.
    "<": "(?:sop|eop|start_of_turn|end_of_turn)>",
    # Llama 2.
    "<<": "/?SYS>>",
}
TEMPLATE_TOKEN = re.compile(
    "|".join(f"({opening}){JOINER}?({rest})" for opening, rest in _OPENINGS.items()), re.ASCII
)
"""A template token, whole or taken apart."""


def template_tokens(text: str) -> list[str]:
    """The template tokens in a text as they stand there, each once, in order."""
    return list(dict.fromkeys(found[0] for found in TEMPLATE_TOKEN.finditer(text)))


def break_template_tokens(text: str) -> str:
    """The text with a word joiner after the opening of each template token."""
    return TEMPLATE_TOKEN.sub(lambda found: JOINER.join(filter(None, found.groups())), text)


def with_note(detail: str | None, text: str) -> str | None:
    """A row's detail, which also names the template tokens of a question's text that its requests break."""
    if not (tokens := template_tokens(text)):
        return detail
    note = f"template tokens of the question are broken in the request: {', '.join(tokens[:5])}"
    return f"{detail}; {note}" if detail else note
