"""Image validation by decoding, decompression bombs too: format, size, pixels, metadata, from bytes alone."""

import io
import re
import warnings
from contextlib import nullcontext
from typing import Literal

from PIL import Image, ImageOps

from prep.records.image_format import FORMATS, has_orientation
from prep.records.reason import Reason, Rejection
from prep.runtime import process_pool

Check = Literal["decode", "header"]

LARGE = 16_000_000
"""Pictures of more pixels are decoded one at a time over all processes, to bound the memory."""

# The limit is ours to apply (`max_pixels`), so Pillow's own, a process-wide warning, is switched off.
Image.MAX_IMAGE_PIXELS = None
# Pillow warns of broken metadata that it can read past.
warnings.filterwarnings("ignore", module=r"PIL\.")


def find_rejection(data: bytes | None, max_pixels: int, how: Check) -> Rejection | None:
    """Why a picture cannot be kept, as (reason, detail), or None when it can.

    `header` opens the picture and compares its size with `max_pixels`; `decode` also reads it to its
    last row (the first frame of an animation), and its metadata as `datasets` does. A JPEG is decoded at an
    eighth of its scale and without colour, which still walks the whole stream and finds where it is cut.
    Raises MemoryError where there is too little of it, which is not the picture's fault.
    """
    if not data:
        return Reason.IMAGE_MISSING, "null" if data is None else "zero bytes"
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as picture:
            width, height = picture.size
            if width * height > max_pixels:
                return Reason.IMAGE_TOO_LARGE, f"{width}x{height} pixels, limit {max_pixels}"
            if how == "decode":
                if picture.format in ("JPEG", "MPO"):
                    mode = "L" if picture.mode == "RGB" else picture.mode
                    picture.draft(mode, (max(1, width // 8), max(1, height // 8)))
                with process_pool.memory_lock if width * height > LARGE else nullcontext():
                    picture.load()
                    if has_orientation(picture):
                        # What metadata do to a picture does not depend on how large it is.
                        picture.thumbnail((8, 8), Image.Resampling.NEAREST)
                        ImageOps.exif_transpose(picture)
    except MemoryError:
        raise
    except Exception as error:  # decoders raise anything: OSError, SyntaxError, struct.error, zlib.error, …
        detail = re.sub(r" ?<[\w.]+ object at 0x\w+>", "", f"{type(error).__name__}: {error}")
        return Reason.IMAGE_UNREADABLE, detail[:200]
    return None
