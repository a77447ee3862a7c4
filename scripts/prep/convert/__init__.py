"""Conversion of one raw shard to kept rows and rejects, and image validation."""
