"""Gate 3: a candidate beside the live version, on the same inputs, before clients or aliases see it."""
