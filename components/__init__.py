"""The components that come with Argosy, and the images that they run in."""
