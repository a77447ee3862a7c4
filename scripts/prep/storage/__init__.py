"""Files on disk: atomic writes, parquet with explicit schemas, the summary beside each part."""
