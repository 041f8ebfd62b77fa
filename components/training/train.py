"""Train an image classifier and track it in MLflow."""

from typing import Any, NamedTuple

from argosy import Resources, Retry, SharedMemory, Toleration, component
from argosy.components import images
from argosy.components.defaults import DATASET, MLFLOW_TRACKING_URI, MODEL_NAME


class Trained(NamedTuple):
    """A finished training run.

    Args:
        run_id: the run in MLflow.
        best_val_accuracy: the validation accuracy of its best epoch, whose weights it holds.
    """

    run_id: str
    best_val_accuracy: float


@component(
    image=images.TRAINING_TOOLS,
    security_context=images.UNPRIVILEGED,
    resources=Resources(cpu=("3", "4"), memory=("8Gi", "14Gi"), gpu=1),
    node_selector={"eks.amazonaws.com/nodegroup": "gpu-training"},
    tolerations=[Toleration("nvidia.com/gpu")],
    # Processes that decode images hand them over through shared memory; a container has but 64 MiB of it.
    volumes=[SharedMemory("2Gi")],
    # A lost pod or node (Error), a signal or the kernel's end (143, 137): the training goes on from its
    # checkpoint. What the step itself refuses or cannot do (1, 2) would come out the same again.
    retry=Retry(
        limit=5,
        policy="Always",
        expression="lastRetry.status == 'Error' || asInt(lastRetry.exitCode) in [137, 143]",
        max_duration=None,
    ),
)
def train(
    dataset: str = DATASET,
    model_name: str = MODEL_NAME,
    mlflow_tracking_uri: str = MLFLOW_TRACKING_URI,
    input_shape: str = "1,3,224,224",
    epochs: int | None = None,
    learning_rate: float | None = None,
    batch_size: int | None = None,
    approach: str = "",
    architecture: str = "",
    weights: str = "",
    config: dict[str, Any] = {},  # noqa: B006  (read, never changed)
    checkpoint: str = "",
    owner: str = "",
) -> Trained:
    """Train a ResNet on a folder of images and log everything to MLflow.

    The run goes into the experiment `model_name`. It holds the recipe, the data set's fingerprint, the
    metrics of every epoch (`best_val_accuracy`, `val_accuracy`, `val_loss`, `train_loss`, `epoch_time` and
    more), the class names and the network of the best epoch. A GPU is used where there is one.

    Args:
        dataset: s3:// prefix or folder that holds train/<class>/ and val/<class>/.
        model_name: the MLflow experiment, and the registered model that the run is a candidate for.
        mlflow_tracking_uri: the MLflow server.
        input_shape: batch, channels, height and width; images are scaled to the last two.
        epochs: passes over the training images; empty means config.yaml's.
        learning_rate: highest learning rate of the schedule; empty means config.yaml's.
        batch_size: images in one optimiser step; empty means config.yaml's.
        approach: baseline, feature_extraction or fine_tuning; empty means config.yaml's.
        architecture: resnet18, resnet34 or resnet50; empty means config.yaml's.
        weights: none, imagenet, a file or s3://bucket/key; empty means config.yaml's.
        config: any keys of config.yaml with other values, as JSON; the inputs above come before these.
        checkpoint: folder or s3:// prefix that keeps the state after every epoch, so that a retry goes on,
            in the same run; empty keeps none.
        owner: whose training it is, a folder below `checkpoint`: the workflow's uid; empty means a name made
            from all that decides the result, so that the same command goes on.
    """
    from argosy.components.shared.registry import connect
    from argosy.components.training.fitting import run_training
    from argosy.components.training.recipe import load, parse_input_shape

    recipe = load().override(
        config,
        approach=approach,
        architecture=architecture,
        weights=weights,
        epochs=epochs,
        learning_rate=learning_rate,
        batch_size=batch_size,
    )
    size = parse_input_shape(input_shape).image_size()
    connect(mlflow_tracking_uri)
    done = run_training(recipe, dataset, size, model_name=model_name, checkpoint=checkpoint, owner=owner)
    return Trained(run_id=done.run_id, best_val_accuracy=done.best_val_accuracy)


if __name__ == "__main__":
    train.main()
