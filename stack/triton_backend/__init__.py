"""Code that runs beside Triton, not in our own environment: the onnxruntime backend, and its packages' pins.

Nothing here is imported by Argosy; Triton loads `model.py` from its backend directory.
"""
