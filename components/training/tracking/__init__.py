"""What MLflow is told of a training: metrics, pictures, tags, the model."""
