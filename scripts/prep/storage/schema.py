"""Arrow schemas of every parquet file, with the Hugging Face features of training parquet."""

import json

import pyarrow as pa

IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
"""A picture as the Hugging Face `Image` feature stores it: the encoded file's bytes, and its name."""

MESSAGE = pa.struct([("content", pa.string()), ("role", pa.string())])
"""A turn; `role` is `user` or `assistant`."""


def _feature(kind: pa.DataType) -> dict | list:
    """The feature of a column, with a list as `[…]`: datasets 2.21 and the newest both read that.

    Pictures are not decoded: the `datasets.map` of a trainer would encode each again, as JPEG of quality 75.
    """
    if kind == IMAGE:
        return {"_type": "Image", "decode": False}
    if pa.types.is_list(kind):
        return [_feature(kind.value_type)]
    if pa.types.is_struct(kind):
        return {field.name: _feature(field.type) for field in kind}
    return {"dtype": str(kind), "_type": "Value"}


def _with_features(schema: pa.Schema) -> pa.Schema:
    """Add the `huggingface` metadata."""
    features = {field.name: _feature(field.type) for field in schema}
    info = json.dumps({"info": {"features": features}})
    return schema.with_metadata({"huggingface": info})


_TRAINING = [
    ("id", pa.string()),
    ("source_id", pa.string()),
    ("messages", pa.list_(MESSAGE)),
    ("images", pa.list_(IMAGE)),
]

TRAINING = _with_features(pa.schema(_TRAINING))
"""A row of the converted artifacts (stages 1 and 2)."""

KEPT = pa.schema([("row", pa.int64()), *_TRAINING[:-1]])
"""A row that is kept of a raw shard, by its number there, where its picture still is."""

_REASONED = [*_TRAINING, ("source", pa.string()), ("mode", pa.string()), ("score", pa.int8())]
_SCORES = [
    ("rule", pa.string()),
    ("pass_rate", pa.float32()),
    ("votes", pa.int8()),
    ("needs_picture", pa.bool_()),
]

REASONED = _with_features(pa.schema([*_REASONED, *_SCORES]))
"""A row of the artifacts that teachers answered (stage 3)."""

REASONED_BY = _with_features(pa.schema([*_REASONED, ("teacher", pa.string()), *_SCORES]))
"""The same where a task has several teachers: by the name of the server that answered."""

REJECTS = pa.schema(
    [
        ("id", pa.string()),
        ("source_file", pa.string()),
        ("row", pa.int64()),
        ("reason", pa.string()),
        ("detail", pa.string()),
    ]
)
"""A row that was read and not kept, with its reason (see prep.records.reason)."""

QUESTIONS = pa.schema(
    [
        ("id", pa.string()),
        ("source", pa.string()),
        ("source_id", pa.string()),
        ("source_file", pa.string()),
        ("row", pa.int64()),
        ("question", pa.string()),
        ("reference", pa.string()),
        ("image_sha256", pa.string()),
        ("image", IMAGE),
    ]
)
"""A question for a teacher: text alone (`image` null), or the user turn beside its picture.

`question` is the text as the source has it (for a picture, the whole user turn with its tag);
`reference` is the source's own answer, which only the judge sees.
"""

ANSWERS = pa.schema(
    [
        ("id", pa.string()),
        ("question_id", pa.string()),
        ("mode", pa.string()),
        ("sample", pa.int32()),
        ("text", pa.string()),
        ("reason", pa.string()),
        ("detail", pa.string()),
        ("tokens", pa.int64()),
        ("reasoning_tokens", pa.int64()),
    ]
)
"""One for each question, mode and sample that was due: `text` in the form to train on, or a `reason`.

`tokens` are those of the whole answer as the server counted them, `reasoning_tokens` those of its thought;
null where it did not say.
"""

OUTCOMES = pa.schema([("id", pa.string()), ("rule", pa.string())])
"""What a rule says of an answer, by the answer's id: see prep.comparison.outcome."""

VERDICTS = pa.schema(
    [
        ("id", pa.string()),
        ("verdict", pa.string()),
        ("score", pa.int8()),
        ("reason", pa.string()),
        ("detail", pa.string()),
        ("rule", pa.string()),
        ("votes", pa.int8()),
        ("grounded", pa.bool_()),
    ]
)
"""The judge's word on an answer, by the answer's id: `pass` or `fail` and a score, or a `reason`.

`votes` counts the judge's votes that say `pass`. `rule` is what a rule says. Where that spared the judge,
there is neither verdict, reason nor votes.
"""
