"""Files on disk: atomic writes, parquet with explicit schemas, parts, and job summaries."""
