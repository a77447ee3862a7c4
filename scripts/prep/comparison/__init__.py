"""Comparison of an answer with a definite reference: numbers, choices, sets, dates, words, mathematics."""
