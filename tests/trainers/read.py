"""What TRL and ms-swift read: their own loaders, templates and collators, tapped where pictures are opened.

    read.py --trainer trl --model FOLDER --folder OUT FILE…

A file leaves OUT/NUMBER.jsonl, a line for each row: all its text, the text that is learned, the sha256 of
each picture, and how many tokens and patches they have.
"""

import argparse
import hashlib
import json
from collections.abc import Iterator
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import PIL.Image
import torch
from PIL import ImageOps

MAX_PIXELS = 262_144
MAX_LENGTH = 10_000_000
"""More tokens than any row has."""
IGNORED = -100
"""The label of a token that is not learned."""

OPENED: dict[str, set[str]] = {}
"""The pixels of each picture that was opened, stored and upright, by the sha256 of its bytes."""

SEEN: list[str] = []
"""The sha256 of each picture that was handed on; one of other pixels than its file's is named by its type."""

open_image = PIL.Image.open


def hash_pixels(image: PIL.Image.Image) -> str:
    rgb = image.convert("RGB")
    return hashlib.sha256(repr(rgb.size).encode() + rgb.tobytes()).hexdigest()


def tap_open(file: Any, *args: Any, **kwargs: Any) -> PIL.Image.Image:
    """Decode what a library opens, and open it for the library with the sha256, which its copies have too."""
    image = open_image(file, *args, **kwargs)
    if isinstance(file, BytesIO):
        data = file.getvalue()
        ours = open_image(BytesIO(data))
        image.info["sha256"] = hashlib.sha256(data).hexdigest()
        OPENED[image.info["sha256"]] = {hash_pixels(way) for way in (ours, ImageOps.exif_transpose(ours))}
    return image


PIL.Image.open = tap_open


def note(image: Any) -> None:
    """Note a picture that is handed on."""
    file = image.info.get("sha256") if isinstance(image, PIL.Image.Image) else None
    SEEN.append(file if file and hash_pixels(image) in OPENED[file] else type(image).__name__)


def describe(processor: Any, batch: dict[str, torch.Tensor]) -> Iterator[dict[str, Any]]:
    """The rows of a batch as the model gets them, with the pictures that were seen."""
    words, pictures = processor.tokenizer, iter(SEEN)
    start, pad = words.convert_tokens_to_ids(["<|vision_start|>", "<|image_pad|>"])
    decode = partial(words.decode, skip_special_tokens=False, clean_up_tokenization_spaces=False)
    patches = iter((batch["image_grid_thw"].prod(-1) // processor.image_processor.merge_size**2).tolist())
    for tokens, labels, mask in zip(
        batch["input_ids"], batch["labels"], batch["attention_mask"], strict=True
    ):
        count = int((tokens == start).sum())
        yield {
            "text": decode(tokens[mask.bool()]),
            "learned": decode(labels[labels != IGNORED]),
            "pictures": [next(pictures) for _ in range(count)],
            "tokens": int((tokens == pad).sum()),
            "patches": sum(next(patches) for _ in range(count)),
        }
    if left := [*pictures, *patches]:
        raise ValueError(f"pictures without a place in a text: {left}")
    SEEN.clear()


def split_tags(batch: dict[str, list]) -> dict[str, list]:
    """Put each picture where its tag is; TRL would put it in front of the first turn, and leave the tag."""
    for message in (message for messages in batch["messages"] for message in messages):
        first, *others = message["content"].split("<image>")
        message["content"] = [{"type": "text", "text": first}]
        for text in others:
            message["content"] += [{"type": "image"}, {"type": "text", "text": text}]
    return batch


def read_trl(model: str, file: str) -> list[dict[str, Any]]:
    """The rows of a file as SFTTrainer reads them."""
    from datasets import Image, load_dataset
    from transformers import AutoProcessor
    from trl import SFTConfig, SFTTrainer

    rows = load_dataset("parquet", data_files=file, split="train")
    rows = rows.cast_column("images", [Image()]).with_transform(split_tags)
    processor = AutoProcessor.from_pretrained(model, max_pixels=MAX_PIXELS)
    config = SFTConfig(
        max_length=None, per_device_train_batch_size=4, use_cpu=True, bf16=False, report_to="none"
    )
    trainer = SFTTrainer(model, config, train_dataset=rows, processing_class=processor)
    images = type(processor.image_processor)
    process = images.__call__

    def tap(self: Any, images: list, *args: Any, **kwargs: Any) -> Any:
        for image in (each for part in images for each in (part if isinstance(part, list) else [part])):
            note(image)
        return process(self, images, *args, **kwargs)

    images.__call__ = tap
    read: list[dict[str, Any]] = []
    collate = trainer.data_collator

    def tap_collator(examples: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        batch = collate(examples)
        read.extend(describe(processor, batch))
        return batch

    trainer.data_collator = tap_collator
    for _ in trainer.get_train_dataloader():
        pass
    images.__call__ = process
    return read


def read_swift(model: str, file: str) -> Iterator[dict[str, Any]]:
    """The rows of a file as ms-swift's template gives them to its collator."""
    from swift.dataset import load_dataset
    from swift.model import get_model_processor
    from swift.template import Template, get_template

    load_image = Template._load_image

    def tap(*args: Any, **kwargs: Any) -> Any:
        image = load_image(*args, **kwargs)
        note(image)
        return image

    Template._load_image = staticmethod(tap)
    loaded, processor = get_model_processor(model, model_type="qwen3_vl")
    template = get_template(processor, max_length=MAX_LENGTH, max_pixels=MAX_PIXELS)
    template.set_mode("train")
    template.model = loaded
    # ms-swift has the number of Qwen's own tokenizer.
    template.image_token_id = processor.image_token_id
    rows, _ = load_dataset(file)
    for row in rows:
        batch = template.data_collator([template.encode(row)])
        yield from describe(processor, batch)
    Template._load_image = staticmethod(load_image)


READERS = {"trl": read_trl, "swift": read_swift}


def main() -> None:
    flags = argparse.ArgumentParser(description=__doc__)
    flags.add_argument("--trainer", choices=READERS, required=True)
    flags.add_argument("--model", required=True)
    flags.add_argument("--folder", type=Path, required=True)
    flags.add_argument("files", nargs="+")
    args = flags.parse_args()
    for number, file in enumerate(args.files):
        with (args.folder / f"{number}.jsonl").open("w", encoding="utf-8") as lines:
            for row in READERS[args.trainer](args.model, file):
                lines.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()
