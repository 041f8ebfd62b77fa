"""The list of components and drawings of pipelines, from their declarations alone."""
