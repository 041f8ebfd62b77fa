"""The recipe: what config.yaml may say, checked, and what each value is for."""
