"""Versions in the repository on S3: claimed, published whole, recorded, pruned."""
