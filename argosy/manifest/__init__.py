"""Argo's language, once: reading and writing manifests; what tags, conditions and expressions mean."""
