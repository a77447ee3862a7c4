"""The parts of the embedded server: what the model may write, and what is read in pictures."""
