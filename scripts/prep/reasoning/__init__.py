"""A batch of questions: answers, answer formats, verdicts, selection."""
