"""What LLaMA-Factory reads: its own loader, template and collator, tapped where pictures are still files.

    read.py --rows FOLDER < readings.json

A reading is a name, a config as `llamafactory-cli train` takes it, and changes (`streaming=true`). It leaves
NAME.jsonl, a line for each row: all its text, the text that is learned, the sha256 of each picture, and how
many tokens and patches they have; and NAME.json, the arguments as they were understood, or the error.
"""

import argparse
import hashlib
import json
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from llamafactory.data import SFTDataCollatorWith4DAttentionMask, get_dataset, get_template_and_fix_tokenizer
from llamafactory.data.mm_plugin import MMPluginMixin
from llamafactory.extras.constants import IGNORE_INDEX
from llamafactory.hparams import get_train_args
from llamafactory.model import load_tokenizer
from torch.utils.data import DataLoader

SEEN: list[str] = []
"""The sha256 of each picture that was about to be opened; what is no longer a file is named by its type."""

regularize = MMPluginMixin._regularize_images


def tap(self: MMPluginMixin, images: list[Any], **sizes: int) -> dict:
    """Note the pictures that are handed to the image processor, and hand them on."""
    for image in images:
        whole = isinstance(image, dict) and image["bytes"] is not None
        SEEN.append(hashlib.sha256(image["bytes"]).hexdigest() if whole else type(image).__name__)
    return regularize(self, images, **sizes)


MMPluginMixin._regularize_images = tap


class Tap:
    """The collator of the training, which gives what it was given in place of tensors."""

    def __init__(self, collator: SFTDataCollatorWith4DAttentionMask) -> None:
        self.collator, self.tokenizer = collator, collator.tokenizer
        self.patch = self.tokenizer.convert_tokens_to_ids("<|image_pad|>")
        self.patches_a_token = collator.processor.image_processor.merge_size**2

    def decode(self, tokens: list[int]) -> str:
        return self.tokenizer.decode(tokens, skip_special_tokens=False, clean_up_tokenization_spaces=False)

    def __call__(self, features: list[dict[str, Any]]) -> list[dict[str, Any]]:
        rows = [
            {
                "text": self.decode(feature["input_ids"]),
                "learned": self.decode([token for token in feature["labels"] if token != IGNORE_INDEX]),
                "pictures": len(feature["images"] or ()),
            }
            for feature in features
        ]
        SEEN.clear()
        batch = self.collator(features)
        pictures, grids = iter(SEEN), iter(batch["image_grid_thw"].prod(-1).tolist())
        for row, tokens in zip(rows, batch["input_ids"], strict=True):
            row["pictures"] = [next(pictures) for _ in range(row["pictures"])]
            row["tokens"] = int((tokens == self.patch).sum())
            row["patches"] = sum(next(grids) for _ in row["pictures"]) / self.patches_a_token
        return rows


def read(config: str, changes: list[str]) -> tuple[dict[str, Any], Iterator[dict[str, Any]]]:
    """The arguments as the trainer understands them, and every row as it reaches the model, once over."""
    sys.argv = ["train", config, *changes]
    model_args, data_args, training_args, _, _ = get_train_args()
    module = load_tokenizer(model_args)
    template = get_template_and_fix_tokenizer(module["tokenizer"], data_args)
    dataset = get_dataset(template, model_args, data_args, training_args, stage="sft", **module)
    loader = DataLoader(
        dataset["train_dataset"],
        batch_size=training_args.per_device_train_batch_size,
        num_workers=training_args.dataloader_num_workers,
        collate_fn=Tap(SFTDataCollatorWith4DAttentionMask(template=template, **module)),
    )
    understood = {
        "dataset": data_args.dataset,
        "template": data_args.template,
        "enable_thinking": template.enable_thinking,
        "streaming": data_args.streaming,
        "mix_strategy": data_args.mix_strategy,
        "cutoff_len": data_args.cutoff_len,
        "image_max_pixels": module["processor"].image_max_pixels,
        "learning_rate": training_args.learning_rate,
        "max_steps": training_args.max_steps,
    }
    return understood, (row for batch in loader for row in batch)


def main() -> None:
    flags = argparse.ArgumentParser(description=__doc__)
    flags.add_argument("--rows", type=Path, required=True)
    folder = flags.parse_args().rows
    for reading in json.load(sys.stdin):
        name, said = reading["name"], {}
        try:
            said, rows = read(reading["config"], reading["changes"])
            with (folder / f"{name}.jsonl").open("w", encoding="utf-8") as file:
                for row in rows:
                    file.write(json.dumps(row) + "\n")
        except Exception as error:
            traceback.print_exc()
            said |= {"error": f"{type(error).__name__}: {error}"}
        (folder / f"{name}.json").write_text(json.dumps(said), encoding="utf-8")


if __name__ == "__main__":
    main()
