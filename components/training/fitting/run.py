"""One tracked training: from the images to the network in MLflow, through any number of interruptions."""

from __future__ import annotations

from argosy.components.training.checkpoints.checkpoints import Finished, NoCheckpoints, open_checkpoints
from argosy.components.training.checkpoints.identity import Identity
from argosy.components.training.checkpoints.interruption import interruption
from argosy.components.training.data.dataset import open_folder
from argosy.components.training.data.images import Size
from argosy.components.training.data.preparation import prepare
from argosy.components.training.data.source import local_folder
from argosy.components.training.fitting.fit import fit
from argosy.components.training.fitting.launch import together
from argosy.components.training.fitting.parallel import how_many, team
from argosy.components.training.network.model import starting_model
from argosy.components.training.recipe.config import Recipe
from argosy.components.training.tracking.metrics import NullTracker, tracked_run
from argosy.components.training.tracking.predictions import judge


def run_training(
    recipe: Recipe, dataset: str, size: Size, *, model_name: str, checkpoint: str, owner: str
) -> Finished:
    """Train `recipe` on `dataset` at `size` (height, width) in experiment `model_name`, or finish it.

    With a `checkpoint` place the same call goes on where an earlier one of the same `owner` was cut off, in
    the same MLflow run; after one that came to its end it returns that one's result. Where the recipe wants
    several processes, they train together.

    Raises:
        UsageError: the data set, the place or a value of the recipe is wrong, or the checkpoints there belong
            to another training.
        StepError: the training, S3 or MLflow failed.
        Interrupted: a signal asked for the end.
    """
    count = how_many(recipe.processes, recipe.batch_size)
    done = together(count, _train, recipe, dataset, size, model_name, checkpoint, owner)
    assert done is not None  # the leader's
    return done


def _train(
    recipe: Recipe, dataset: str, size: Size, model_name: str, checkpoint: str, owner: str
) -> Finished | None:
    """The same, in each of the processes that train together; the leader's result, for the others none."""
    members = team()
    with interruption() as signals:
        with members.leader_first():
            folder = open_folder(local_folder(dataset, workers=recipe.workers))
            data = prepare(folder, size, recipe.workers)
            if recipe.pretrained:
                # Weights that do not fit are refused before there is a run.
                starting_model(recipe, len(data.classes))
        checkpoints = NoCheckpoints()
        if members.leads:
            checkpoints = open_checkpoints(checkpoint, owner, Identity.of(model_name, recipe, data, size))
        finished = members.told(checkpoints.finished)
        if finished is not None:
            return finished
        if not members.leads:
            fit(recipe, data, size, NullTracker(), checkpoints, signals, members)
            return None
        training, run_id = checkpoints.training, checkpoints.run_id
        with tracked_run(model_name, recipe, training=training, run_id=run_id, owner=owner) as run:
            checkpoints.run_id = run.run_id
            run.data(dataset, data, size)
            fitted = fit(recipe, data, size, run, checkpoints, signals, members)
            run.model(fitted.model, size)
            run.report(*judge(fitted.model, recipe, data, size), data)
            signals.check()  # a library may have swallowed a signal, and stored but half of this
        result = Finished(run.run_id, fitted.best_val_accuracy)
        checkpoints.finish(result)
        return result
