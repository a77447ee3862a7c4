"""Print the settings of selection as JSON, for `make selection`."""

import json
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError

from workflow_lib.card import TASK_OF
from workflow_lib.config import read_config
from workflow_lib.settings import selection_settings


def main() -> None:
    try:
        config = read_config(Path(__file__).parent.parent, [Path(file) for file in sys.argv[1:]])
    except WorkflowError as error:
        sys.exit(str(error))
    tasks = {name: selection_settings(config, task) for name, task in TASK_OF.items()}
    for name, task in TASK_OF.items():
        if rated := config[task]["pass_rate_server"]:
            tasks[name]["rated"] = rated["server"]
    print(json.dumps(tasks))


if __name__ == "__main__":
    main()
