"""Rows: ids, reasons, questions, conversations, tags, image formats, seeds and template tokens."""
