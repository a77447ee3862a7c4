"""Terminal: the state of a run and of its batches, as lines and as a live screen (rich).

Used by the logger plugin `live`, inside Snakemake's own process, and by `make watch` and `make demo`.
"""
