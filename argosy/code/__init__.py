"""The code of a project on its way to a step: a bundle beside the manifest, or an image."""
