"""Template tokens: which texts hold some, and how they are broken."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prep.records.template_tokens import break_template_tokens, template_tokens, with_note

TOKENS = [
    *(
        "<|im_start|>",
        "<|im_end|>",
        "<|endoftext|>",
        "<|vision_start|>",
        "<|image_pad|>",
        "<|object_ref_start|>",
    ),
    *("[gMASK]", "[sMASK]", "<sop>", "<eop>", "<|system|>", "<|user|>", "<|assistant|>", "<|observation|>"),
    *("<|begin_of_image|>", "<|begin_of_box|>", "<|eot_id|>", "<|reserved_special_token_0|>", "<|0.00|>"),
    *(
        "<\uff5cUser\uff5c>",
        "<\uff5cbegin\u2581of\u2581sentence\uff5c>",
        "<\uff5cend\u2581of\u2581sentence|>",
    ),
    *("<start_of_turn>", "<end_of_turn>", "[INST]", "[/INST]", "<<SYS>>", "<</SYS>>"),
]
NO_TOKENS = [
    *("", "plain", "a <b> c", "<|>", "<||>", "<| x |>", "x <| f |> y", "|im_end|", "<im_end>", "<|im_end>"),
    *(
        "<|x|>",
        "\u27e8|x|\u27e9",
        "<|x + y|>",
        "a[0] | b",
        "[MASK]",
        "<s>",
        "</s>",
        "<think>",
        "<image>",
        "[inst]",
    ),
    *("<|" + "x" * 65 + "|>", "<|" * 1000),
]


@pytest.mark.parametrize("token", TOKENS)
def test_a_token_is_broken_after_its_opening(token):
    opening = next(each for each in ("<<", "<|", "<\uff5c", "<", "[") if token.startswith(each))
    broken = opening + "\u2060" + token.removeprefix(opening)
    assert break_template_tokens(f"a {token}{token} b") == f"a {broken}{broken} b"
    assert template_tokens(f"a {token}{token} b") == [token]
    # A teacher that quotes its question quotes the broken token.
    assert template_tokens(broken) == [broken]


@pytest.mark.parametrize("text", NO_TOKENS)
def test_what_is_no_token_stays_as_it_is(text):
    assert break_template_tokens(text) == text
    assert template_tokens(text) == []
    assert with_note(None, text) is None
    assert with_note("", text) == ""
    assert with_note("cut", text) == "cut"


@given(st.lists(st.sampled_from([*TOKENS, "<|", "|>", "<", "im_end", "\u2060", "a", "[", "]"])).map("".join))
def test_a_broken_text_is_the_same_but_for_joiners_and_breaks_no_further(text):
    broken = break_template_tokens(text)
    assert broken.replace("\u2060", "") == text.replace("\u2060", "")
    assert break_template_tokens(broken) == broken
    assert not any(token in broken for token in TOKENS)


def test_a_detail_names_the_tokens():
    note = "template tokens of the question are broken in the request: <|im_end|>, <sop>"
    text = "<|im_end|> <sop> <|im_end|>"
    assert with_note(None, text) == note
    assert with_note("cut", text) == f"cut; {note}"


def test_a_detail_names_five_tokens_at_most():
    tokens = ["<|a_0|>", "<|a_1|>", "<|a_2|>", "<|a_3|>", "<|a_4|>", "<|a_5|>", "<|a_6|>"]
    assert with_note(None, " ".join(tokens)).endswith(f": {', '.join(tokens[:5])}")
