"""What one row is: reasons, questions, conversations, seeds and template tokens."""
