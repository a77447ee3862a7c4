"""Build a tiny Qwen3-VL of random weights, with its tokenizer and its processor, out of nothing."""

import argparse
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    PreTrainedTokenizerFast,
    Qwen2VLImageProcessor,
    Qwen3VLConfig,
    Qwen3VLForConditionalGeneration,
    Qwen3VLProcessor,
    Qwen3VLVideoProcessor,
)

HIDDEN = 32
CONTEXT = 16384
END, BEGIN = "<|im_end|>", "<|im_start|>"
VISION = ["<|image_pad|>", "<|video_pad|>", "<|vision_start|>", "<|vision_end|>"]
PATCH = {"patch_size": 16, "temporal_patch_size": 2, "merge_size": 2}
"""As Qwen3-VL has it: a token for each 32 by 32 pixels."""
CHAT = (
    "{% for message in messages %}{{ '<|im_start|>' + message.role + '\n' }}"
    "{% if message.content is string %}{{ message.content }}{% else %}{% for part in message.content %}"
    "{% if part.type == 'image' %}{{ '<|vision_start|><|image_pad|><|vision_end|>' }}"
    "{% else %}{{ part.text }}{% endif %}"
    "{% endfor %}{% endif %}{{ '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def build_tokenizer() -> PreTrainedTokenizerFast:
    """Every byte is a token, so that what is decoded is what was encoded."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    raw = Tokenizer(models.BPE({letter: number for number, letter in enumerate(letters)}, []))
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    raw.decoder = decoders.ByteLevel()
    raw.add_special_tokens([END, BEGIN, *VISION])
    return PreTrainedTokenizerFast(
        tokenizer_object=raw, eos_token=END, pad_token=END, chat_template=CHAT, model_max_length=CONTEXT
    )


def build_model(words: PreTrainedTokenizerFast) -> Qwen3VLForConditionalGeneration:
    """Two layers of each kind."""
    patch, video, begin, end = words.convert_tokens_to_ids(VISION)
    text = {
        "vocab_size": len(words),
        "hidden_size": HIDDEN,
        "intermediate_size": 2 * HIDDEN,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "head_dim": HIDDEN,
        "max_position_embeddings": CONTEXT,
        "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [6, 5, 5]},
        "pad_token_id": words.pad_token_id,
    }
    sight = {
        "depth": 2,
        "hidden_size": HIDDEN,
        "num_heads": 2,
        "intermediate_size": 2 * HIDDEN,
        "out_hidden_size": HIDDEN,
        "num_position_embeddings": 16 * 16,
        "deepstack_visual_indexes": [0, 1],
    }
    config = Qwen3VLConfig(
        text_config=text,
        vision_config=sight,
        image_token_id=patch,
        video_token_id=video,
        vision_start_token_id=begin,
        vision_end_token_id=end,
    )
    return Qwen3VLForConditionalGeneration(config)


def main() -> None:
    flags = argparse.ArgumentParser(description=__doc__)
    flags.add_argument("--folder", type=Path, required=True)
    folder = flags.parse_args().folder
    torch.manual_seed(0)
    words = build_tokenizer()
    build_model(words).save_pretrained(folder)
    size = {"shortest_edge": 256 * 256, "longest_edge": 4096 * 4096}
    images, videos = Qwen2VLImageProcessor(size=size, **PATCH), Qwen3VLVideoProcessor(**PATCH)
    Qwen3VLProcessor(images, words, videos, chat_template=CHAT).save_pretrained(folder)


if __name__ == "__main__":
    main()
