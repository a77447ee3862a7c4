"""Tags and switches in messages: media tags, think tags, box tags, and Qwen3's ` /no_think`."""

import re

IMAGE_TAG = "<image>"
MEDIA_TAG = re.compile(r"<(?:image|audio|video)>", re.IGNORECASE)
AUDIO_OR_VIDEO_TAG = re.compile(r"<(?:audio|video)>", re.IGNORECASE)

THINK_START = "<think>"
THINK_END = "</think>"
THINK_TAG = re.compile(r"</?think>", re.IGNORECASE)

ANSWER_TAGS = ("<answer>", "</answer>")
BOX_TAGS = ("<|begin_of_box|>", "<|end_of_box|>")
"""GLM-4.1V's tags around an answer, and around what it comes to."""

NO_THINK = " /no_think"
"""Qwen3's soft switch at the end of a prompt: the think block of the answer is empty."""
USUAL_SUFFIXES = {
    ("text", "no_thinking"): NO_THINK,
    ("text", "judge"): NO_THINK,
}
"""The suffix of requests by what they are about and their kind, unless a configuration sets another one."""
