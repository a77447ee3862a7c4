"""torchvision beside a PyTorch for CPUs; the standard library alone, since nothing is installed yet."""

from pathlib import Path

# Where torchvision's own library does not load, its Python does not import without these.
OPERATORS = """

if not _has_ops():
    _boxes = "Tensor dets, Tensor scores, float iou_threshold"
    _operators = torch.library.Library("torchvision", "DEF")
    for _name in ("nms", "qnms"):
        _operators.define(f"{_name}({_boxes}) -> Tensor")
"""


def define_operators(packages: Path) -> None:
    """Let the torchvision of a folder of packages be imported where its library is built for GPUs."""
    extension = packages / "torchvision/extension.py"
    text = extension.read_text(encoding="utf-8")
    extension.unlink()  # it may be a hard link to the installer's cache
    extension.write_text(text + OPERATORS, encoding="utf-8")
