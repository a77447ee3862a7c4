"""The dialects that teachers answer in, as their chat templates and model cards have them."""

from collections.abc import Callable
from typing import NamedTuple

from prep.inference.request import Response


class Dialect(NamedTuple):
    """How a model says a thought and a text: the message's content, and its field of reasoning or None."""

    form: str
    content: Callable[[str, str], str]
    splits: bool = False

    def response(self, thought: str, text: str) -> Response:
        """A finished answer in this dialect."""
        return Response(self.content(thought, text), f"\n{thought}\n" if self.splits else None, "stop")

    def message(self, thought: str, text: str, field: str = "reasoning") -> dict[str, str]:
        """The same as a message of a chat completion."""
        split = {field: f"\n{thought}\n"} if self.splits else {}
        return {"content": self.content(thought, text), **split}


DIALECTS = {
    "Qwen3": Dialect("think", "<think>\n{}\n</think>\n\n{}".format),
    "InternVL3.5": Dialect("think", "<think>\n{}\n</think>\n{}".format),
    "Qwen3-Thinking-2507": Dialect("close_only", "{}\n</think>\n\n{}".format),
    "DeepSeek-R1": Dialect("close_only", "\n{}\n</think>\n\n{}".format),
    "a reasoning parser": Dialect("field", "{1}".format, splits=True),
    "a parser that keeps the break": Dialect("field", "\n\n{1}".format, splits=True),
    "GLM-4.1V-Thinking": Dialect("glm", "<think>{}</think>\n<answer>{}</answer>".format),
    "GLM-4.1V-Thinking without the end": Dialect("glm", "<think>{}</think><answer>{}".format),
    "Hunyuan-A13B": Dialect("glm", "<think>\n{}\n</think>\n<answer>\n{}\n</answer>".format),
    "GLM-4.5V": Dialect("glm_boxes", "\n<think>{}</think>\n<|begin_of_box|>{}<|end_of_box|>".format),
    "GLM-4.6V with the block open": Dialect(
        "glm_boxes", "{}</think>\n<|begin_of_box|>{}<|end_of_box|>".format
    ),
    "Kimi-VL-Thinking": Dialect("kimi", "◁think▷{}◁/think▷{}".format),
    "gpt-oss": Dialect(
        "channels",
        "<|channel|>analysis<|message|>{}<|end|><|start|>assistant<|channel|>final<|message|>{}".format,
    ),
    "gpt-oss with its end": Dialect(
        "channels",
        "<|channel|>analysis<|message|>{}<|end|><|start|>assistant<|channel|>final<|message|>{}<|return|>".format,
    ),
    "gpt-oss without special tokens": Dialect("channels", "analysis{}assistantfinal{}".format),
    "Magistral": Dialect("mistral", "[THINK]{}[/THINK]{}".format),
    "Seed-OSS": Dialect("seed", "<seed:think>{}</seed:think>{}".format),
    "EXAONE Deep": Dialect("thought", "<thought>\n{}\n</thought>\n\n{}".format),
    "Command A Reasoning": Dialect(
        "cohere",
        "<|START_THINKING|>{}<|END_THINKING|><|START_RESPONSE|>{}<|END_RESPONSE|>".format,
    ),
}
