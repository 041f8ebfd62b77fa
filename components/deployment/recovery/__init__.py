"""Going back: by hand to an older version, or to how it was before a workflow that failed."""
