"""The runtime in a step's container: command line, inputs, outputs, errors.

The standard library alone, and Python 3.9 and later: this package travels into images that hold neither
Argosy nor anything that Argosy needs (`argosy.step.runtime` says which files go along).
"""
