"""Making Triton serve exactly the wanted versions, by one deployment at a time."""
