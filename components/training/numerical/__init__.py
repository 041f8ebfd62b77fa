"""Gate 2: two models on the same inputs, compared number by number."""
