"""What users read of an artifact: manifest, registration, card and report parts."""
