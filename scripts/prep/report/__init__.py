"""Reporting: manifests, LLaMA-Factory registration, parts of card and report, the OCR check."""
