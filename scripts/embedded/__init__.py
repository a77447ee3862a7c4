"""The parts of the embedded server: chat completions, grammars, the model, OCR."""
