"""Train a small network on rows of numbers: the one step that a model family has to bring itself."""

from typing import NamedTuple

from argosy import Resources, component
from argosy.components import images
from argosy.components.defaults import MLFLOW_TRACKING_URI


class Trained(NamedTuple):
    """A finished training run.

    Args:
        run_id: the MLflow run; Gate 1 reads its metric, the export reads its model.
        best_val_accuracy: share of the validation rows that the network of the best epoch gets right.
    """

    run_id: str
    best_val_accuracy: float


@component(
    image=images.TRAINING_TOOLS,
    security_context=images.UNPRIVILEGED,
    resources=Resources(cpu=("500m", "1"), memory=("1Gi", "2Gi")),
)
def train_tabular(
    model_name: str = "mlp-breast-cancer",
    mlflow_tracking_uri: str = MLFLOW_TRACKING_URI,
    epochs: int = 40,
    learning_rate: float = 0.01,
    seed: int = 0,
) -> Trained:
    """Train a two-layer network on the 569 biopsies of the Wisconsin breast cancer data set.

    The data set comes with scikit-learn: 30 measurements a row, two classes.

    Args:
        model_name: the MLflow experiment, and the registered model that the run is a candidate for.
        mlflow_tracking_uri: the MLflow server.
        epochs: passes over the training rows.
        learning_rate: Adam's learning rate.
        seed: start of the random numbers: split, weights, order of the rows.
    """
    import mlflow
    from mlp import fit, load_rows

    from argosy.components.shared.registry import connect

    connect(mlflow_tracking_uri)
    mlflow.set_experiment(model_name)
    rows = load_rows(seed)
    with mlflow.start_run(run_name=f"train-{model_name}") as run:
        mlflow.log_params({"epochs": epochs, "learning_rate": learning_rate, "seed": seed})
        mlflow.log_params({"dataset_fingerprint": rows.fingerprint()})
        mlflow.log_dict(rows.classes, "labels.json")
        mlflow.log_dict(rows.preparation, "preprocessing.json")
        network, best = fit(rows, epochs, learning_rate, seed, mlflow.log_metrics)
        mlflow.pytorch.log_model(
            network,
            name="model",
            # Two rows: traced with one, the program would accept no other batch size.
            input_example=rows.val_inputs[:2].numpy(),
            pip_requirements=["torch", "numpy"],
        )
    return Trained(run.info.run_id, best)


if __name__ == "__main__":
    train_tabular.main()
