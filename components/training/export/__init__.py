"""From the PyTorch model to an ONNX file in an MLflow run of its own."""
