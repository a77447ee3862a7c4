"""Processes of a program: start and failure, child groups, pools, ordered results, sanitized output."""
