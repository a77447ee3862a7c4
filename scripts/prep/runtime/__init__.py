"""Processes: entry point, child process groups, process pools, ordered map, sanitized output."""
