"""Reports of a training to MLflow: metrics, pictures, tags, the model."""
