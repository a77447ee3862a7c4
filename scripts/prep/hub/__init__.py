"""Datasets of the Hugging Face hub or of a mirror folder: listing, download, retry policy."""
