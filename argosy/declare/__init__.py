"""Declarations of components and pipelines: inputs, outputs, container, resources, schedule."""
