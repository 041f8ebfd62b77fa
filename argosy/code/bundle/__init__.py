"""Code travels: what a step needs of its project, in one zip that reaches its pod as a ConfigMap."""
