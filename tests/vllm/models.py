"""Build two tiny models, a Qwen3 and a GLM-4.1V to vLLM, whose answers have the teachers' form.

Their layers are random, and of no effect: the projections that write to the residual stream are zero. So
the next token depends on the last one alone, and the output head holds a table of what follows what. A
request's seed chooses where the table has several; a grammar chooses where it has none.
"""

import argparse
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    Glm4vConfig,
    Glm4vForConditionalGeneration,
    Glm4vImageProcessor,
    Glm4vProcessor,
    Glm4vVideoProcessor,
    PreTrainedTokenizerFast,
    Qwen3Config,
    Qwen3ForCausalLM,
)

HIDDEN = 128
CONTEXT = 32768
EOS, ASSISTANT, PLAIN = "<|im_end|>", "<|im_start|>assistant\n", "<|plain|>"
USER = "<|im_start|>user\n"
# The pictures' and videos' tokens: begin, one patch, end.
PATCHES = [f"<|{word}{kind}|>" for kind in ("image", "video") for word in ("begin_of_", "", "end_of_")]
# What may follow a token; `PLAIN` ends the prompts that ask for no thought.
QWEN3 = {
    ASSISTANT: ["<think>"],
    "<think>": ["\nTwo and three, counted on fingers.\n", "\nTwo and three, by heart.\n"],
    "\nTwo and three, counted on fingers.\n": ["</think>"],
    "\nTwo and three, by heart.\n": ["</think>"],
    "</think>": ["\n\nIt is five.", "\n\nFive.", "\n\n5"],
    PLAIN: ["<think>\n\n</think>"],
    "<think>\n\n</think>": ["\n\nIt is five.", "\n\nFive.", "\n\n5"],
    "\n\nIt is five.": [EOS],
    "\n\nFive.": [EOS],
    "\n\n5": [EOS],
}
GLM41V = {
    ASSISTANT: ["<think>"],
    PLAIN: ["<think>"],
    "<think>": ["The picture shows a word.", "The picture shows a chart."],
    "The picture shows a word.": ["</think>"],
    "The picture shows a chart.": ["</think>"],
    "</think>": ["<answer>"],
    "<answer>": ["It is ", "I read "],
    "It is ": ["<|begin_of_box|>"],
    "I read ": ["<|begin_of_box|>"],
    "<|begin_of_box|>": ["HELLO", "42"],
    "HELLO": ["<|end_of_box|>"],
    "42": ["<|end_of_box|>"],
    "<|end_of_box|>": ["</answer>"],
    "</answer>": [EOS],
}
# A message's content is a text or a list of parts, as vLLM likes.
TEMPLATE = """\
{%- set said = namespace(last='') -%}
{%- for message in messages -%}
{{ '<|im_start|>' + message.role + '\n' }}
{%- if message.content is string -%}
{%- set said.last = message.content -%}{{ said.last }}
{%- else -%}
{%- for part in message.content -%}
{%- if part.type == 'text' -%}{%- set said.last = part.text -%}{{ said.last }}
{%- else -%}{{ '<|begin_of_image|><|image|><|end_of_image|>' }}
{%- endif -%}
{%- endfor -%}
{%- endif -%}
{{ '<|im_end|>\n' }}
{%- endfor -%}
{{ '<|im_start|>assistant\n' }}
{%- if said.last.endswith('/no_think') -%}{{ '<|plain|>' }}{%- endif -%}
"""


def tokenizer(table: dict[str, list[str]]) -> PreTrainedTokenizerFast:
    """Every byte is a token, and so is every word of the table; only what frames a message is special."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    raw = Tokenizer(models.BPE({letter: number for number, letter in enumerate(letters)}, []))
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    raw.decoder = decoders.ByteLevel()
    special = [EOS, USER, ASSISTANT, PLAIN, *PATCHES]
    raw.add_special_tokens(special)
    raw.add_tokens([word for word in table if word not in special])
    return PreTrainedTokenizerFast(
        tokenizer_object=raw, eos_token=EOS, pad_token=EOS, chat_template=TEMPLATE, model_max_length=CONTEXT
    )


def follow(model: torch.nn.Module, words: PreTrainedTokenizerFast, table: dict[str, list[str]]) -> None:
    """Have the model say the table; after any other token it ends, or babbles where a grammar wants more.

    A grammar of JSON admits white space without end, which the highest token numbers are: where all that it
    admits is as likely, a nucleus may hold nothing else.
    """
    for name, weight in model.named_parameters():
        writes = name.endswith(("o_proj.weight", "down_proj.weight"))
        if writes and not name.startswith("model.visual"):
            torch.nn.init.zeros_(weight)
    embedding, head = model.get_input_embeddings().weight.data, model.get_output_embeddings().weight.data
    embedding.zero_()
    head.zero_()
    other = len(table)
    embedding[:, other] = 1
    head[words.eos_token_id, other] = 4
    head[words.convert_tokens_to_ids('"'), other] = 0.25  # so that babble is short
    head[words.encode("\t\n\r ", add_special_tokens=False), other] = -1
    for place, (word, successors) in enumerate(table.items()):
        this = words.convert_tokens_to_ids(word)
        embedding[this] = 0
        embedding[this, place] = 1
        for successor in successors:
            head[words.convert_tokens_to_ids(successor), place] = 4


def text_sizes(words: PreTrainedTokenizerFast) -> dict:
    return {
        "vocab_size": len(words),
        "hidden_size": HIDDEN,
        "intermediate_size": 2 * HIDDEN,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "max_position_embeddings": CONTEXT,
        "eos_token_id": words.eos_token_id,
        "pad_token_id": words.pad_token_id,
    }


def build_qwen3(folder: Path) -> None:
    words = tokenizer(QWEN3)
    model = Qwen3ForCausalLM(Qwen3Config(**text_sizes(words), head_dim=64, tie_word_embeddings=False))
    follow(model, words, QWEN3)
    model.save_pretrained(folder)
    words.save_pretrained(folder)


def build_glm41v(folder: Path) -> None:
    words = tokenizer(GLM41V)
    begin, patch, end, video_begin, video_patch, video_end = words.convert_tokens_to_ids(PATCHES)
    sight = {
        "depth": 2,
        "hidden_size": HIDDEN,
        "num_heads": 2,
        "intermediate_size": 2 * HIDDEN,
        "out_hidden_size": HIDDEN,
    }
    rotation = {"rope_type": "default", "rope_theta": 10000.0, "partial_rotary_factor": 0.5}
    rotation["mrope_section"] = [4, 6, 6]  # half of the 32 of 64 dimensions that turn
    config = Glm4vConfig(
        text_config=text_sizes(words) | {"rope_parameters": rotation},
        vision_config=sight,
        image_token_id=patch,
        image_start_token_id=begin,
        image_end_token_id=end,
        video_token_id=video_patch,
        video_start_token_id=video_begin,
        video_end_token_id=video_end,
        tie_word_embeddings=False,
    )
    model = Glm4vForConditionalGeneration(config)
    follow(model, words, GLM41V)
    model.save_pretrained(folder)
    most = {"shortest_edge": 56 * 56, "longest_edge": 448 * 448 * 2}
    images, videos = Glm4vImageProcessor(size=most), Glm4vVideoProcessor(size=most)
    Glm4vProcessor(images, words, videos, chat_template=TEMPLATE).save_pretrained(folder)


def main() -> None:
    flags = argparse.ArgumentParser(description=__doc__)
    flags.add_argument("--folder", type=Path, required=True, help="gets a folder of each model")
    folder = flags.parse_args().folder
    torch.manual_seed(0)
    build_qwen3(folder / "qwen3")
    build_glm41v(folder / "glm41v")


if __name__ == "__main__":
    main()
