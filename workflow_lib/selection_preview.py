"""Print the settings of selection as JSON, for `make selection`."""

import json
import sys
from pathlib import Path

from workflow_lib.card import TASK_OF
from workflow_lib.config import read_config
from workflow_lib.config_error import exit_in_one_line
from workflow_lib.settings import selection_settings


@exit_in_one_line()
def main() -> None:
    config = read_config(Path(__file__).parent.parent, [Path(file) for file in sys.argv[1:]])
    tasks = {name: selection_settings(config, task) for name, task in TASK_OF.items()}
    for name, task in TASK_OF.items():
        if rated := config[task]["pass_rate_server"]:
            tasks[name]["rated"] = rated["server"]
    print(json.dumps(tasks))


if __name__ == "__main__":
    main()
