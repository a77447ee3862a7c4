"""The parts of explain_row: what became of a row, where it is from, and what each step decided of it."""
