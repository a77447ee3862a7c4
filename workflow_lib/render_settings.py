"""Print the settings of rendering as JSON, for `make pages`."""

import json
import sys
from pathlib import Path

from workflow_lib.config import read_config
from workflow_lib.config_error import exit_in_one_line
from workflow_lib.settings import fonts_sha256


@exit_in_one_line()
def main() -> None:
    config = read_config(Path(__file__).parent.parent, [Path(file) for file in sys.argv[1:]])
    fonts_sha256(config)  # that the fonts are there
    print(json.dumps({key: config[key] for key in ("render", "seed")}))


if __name__ == "__main__":
    main()
