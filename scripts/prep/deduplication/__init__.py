"""Deduplication: near duplicates of texts and pictures, decontamination against evaluation sets."""
