"""What there is, from the declarations alone: the list of components, and drawings of pipelines."""
