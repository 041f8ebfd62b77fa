"""Images of the steps' code: made here, layer by layer, and sent to a registry; no daemon, no Dockerfile.

`recipe` says which images a project needs, `builder` makes and sends them, `pins` notes what was made.
"""
