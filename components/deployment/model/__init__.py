"""A model on its way to Triton: what is fetched, checked, laid out and described."""
