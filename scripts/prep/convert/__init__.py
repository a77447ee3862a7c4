"""One raw shard to kept rows and rejects; checks of the image bytes."""
