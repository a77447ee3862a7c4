"""Form of LLaVA: conversations of `from` (human, gpt) and `value`."""

from prep.convert.turns import Dialect

LLAVA = Dialect("from", "value", {})
add_arguments, build_form = LLAVA.add_arguments, LLAVA.build_form
