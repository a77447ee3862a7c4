"""Library of the programs in scripts/: what several of them share, and code too long for one file.

No module here knows a path of the workflow or imports Snakemake, and each imports only what every
environment that runs it has: the standard library, pyarrow, pillow, aiohttp and openai (see envs/).
Exceptions need the base environment, where alone their programs run: hub, rendering, report.
"""

from prep.runtime import telemetry

telemetry.opt_out()  # before any library is imported that reads the variables then
