"""The `render` settings of config.yaml, with the fonts of the requirements alone."""

import yaml
from conftest import ROOT

from prep.rendering.typeset import RenderConfig

_SETTINGS = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))["render"]
RENDER = RenderConfig(**_SETTINGS | {"fonts": ()})
