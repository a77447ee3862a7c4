"""What the tests' server answers in the teachers' and the judge's place; the text depends on the request."""

import json

from fault_server import Ask, Reply, answer_to

VERDICT = {"verdict": "pass", "score": 4}


def teach(ask: Ask) -> Reply:
    """A well-formed answer: a verdict, a thought about a picture, or a text with or without a thought."""
    content = ask.body["messages"][-1]["content"]
    if "response_format" in ask.body:
        return Reply(content=json.dumps(VERDICT | {"reason": answer_to(ask.body)[-8:]}))
    if isinstance(content, list):
        name = answer_to(ask.body)[-8:]
        answer = f"It is <|begin_of_box|>{name}<|end_of_box|>."
        return Reply(content=f"<think>I see {name}.</think><answer>{answer}</answer>")
    if content.endswith(" /no_think"):
        return Reply(content=f"<think>\n\n</think>\n\nplainly {answer_to(ask.body)[-8:]}")
    return Reply()
