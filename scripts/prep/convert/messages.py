"""Form of chat messages: turns of `role` (user, assistant) and `content`."""

from prep.convert.turns import Dialect

# LLaVA's own words are no roles: a turn that has them breaks the rule of speakers.
MESSAGES = Dialect(
    "role", "content", {"user": "human", "assistant": "gpt", "human": "no role", "gpt": "no role"}
)
add_arguments, build_form = MESSAGES.add_arguments, MESSAGES.build_form
