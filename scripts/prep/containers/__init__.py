"""Source files by their container: readers of rows, and pictures in folders and archives."""
