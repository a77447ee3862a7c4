#!/usr/bin/env python
"""Keep what the judge passed of a batch, with the original picture and the original question."""

from prep import program, selection
from prep.selection import Selected


def training_row(selected: Selected) -> dict:
    """The training row of a picture that was reasoned over."""
    asked, answer = selected.question, selected.answer
    return {
        "id": answer["id"],
        "source_id": asked.source_id,
        "messages": [
            {"content": asked.question, "role": "user"},
            {"content": answer["text"], "role": "assistant"},
        ],
        "images": [{"bytes": asked.image, "path": asked.image_path}],
        "source": asked.source,
        "mode": answer["mode"],
        "score": selected.score,
    }


def main() -> None:
    parser = program.parser(__doc__)
    selection.add_arguments(parser)
    args = parser.parse_args()
    judged = selection.read(args)
    selection.write(args, ((one, one.defect or training_row(one)) for one in judged))


if __name__ == "__main__":
    program.run(main)
