"""`couler.steps`: distributed training as a job of Kubeflow's training operator, which the step waits for."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from argosy.declare.source import call_site
from argosy.errors import ComposeError

Resources = Mapping[str, Any] | str
# What Couler's programs call a resource, and what Kubernetes does.
_RESOURCES = {"gpu": "nvidia.com/gpu", "disk": "ephemeral-storage", "cpu": "cpu", "memory": "memory"}
_OF_A_ROLE = ("image", "command", "resources", "restart_policy")


@dataclass(frozen=True)
class Trainer:
    """One kind of job.

    Attributes:
        kind: of the job, as Kubernetes names it.
        name: of its containers, and of the step.
        replicas: the field of the job's spec that holds its roles.
        leader: the role of which there is one.
        others: the other roles; what `train` is told of a role begins with the role's name.
        optional: whether the leader is left out unless `no_LEADER=False` is given.
    """

    kind: str
    name: str
    replicas: str
    leader: str
    others: tuple[str, ...] = ("Worker",)
    optional: bool = False

    def train(
        self,
        image: str | None = None,
        command: Any = "",
        secret: str | None = None,
        *,
        num_workers: int = 0,
        clean_pod_policy: str = "Running",
        timeout: int | None = None,
        **of_roles: Any,
    ) -> Any:
        """Add a step that makes the job and ends as its workers do.

        Raises:
            ComposeError: the job has no role at all, a role has no image, or an argument is unknown.
        """
        import couler.argo as couler

        counts = self._counts(num_workers, of_roles)
        shared = {"image": image, "command": command, "secret": secret}
        specs = {role: self._role(role, count, shared, of_roles) for role, count in counts.items() if count}
        if unknown := next(iter(of_roles), None):
            raise mistake(f"train() of a {self.kind} has no argument '{unknown}'")
        if not specs:
            raise mistake(f"a {self.kind} without workers trains nothing; give num_workers=1")
        watched = "Worker" if "Worker" in specs else next(iter(specs))
        return couler.run_job(
            manifest=self._manifest(specs, clean_pod_policy),
            success_condition=f"status.replicaStatuses.{watched}.succeeded == {counts[watched]}",
            failure_condition=f"status.replicaStatuses.{watched}.failed > 0",
            step_name=f"{self.name}-train",
            timeout=timeout,
        )

    def _counts(self, workers: int, of_roles: dict[str, Any]) -> dict[str, int]:
        without_leader = of_roles.pop(f"no_{self.leader.lower()}", self.optional)
        counts = {self.leader: int(not without_leader)}
        for role in self.others:
            counts[role] = workers if role == "Worker" else of_roles.pop(f"num_{role.lower()}", 0)
        return counts

    def _role(self, role: str, count: int, shared: Mapping[str, Any], of_roles: dict[str, Any]) -> Any:
        own = {key: of_roles.pop(f"{role.lower()}_{key}", None) for key in _OF_A_ROLE}
        image, command = own["image"] or shared["image"], own["command"] or shared["command"]
        if not image:
            raise mistake(f"the {role} of a {self.kind} needs an image")
        container: dict[str, Any] = {"name": self.name, "image": image}
        if command:
            container["command"] = [command] if isinstance(command, str) else list(command)
        if shared["secret"] is not None:
            container["env"] = _variables(shared["secret"])
        if own["resources"]:
            container["resources"] = {"limits": _limits(own["resources"])}
        policy = own["restart_policy"] or "Never"
        return {"replicas": count, "restartPolicy": policy, "template": {"spec": {"containers": [container]}}}

    def _manifest(self, specs: Mapping[str, Any], clean_pod_policy: str) -> str:
        from argosy.manifest.emit import to_yaml

        return to_yaml(
            {
                "apiVersion": "kubeflow.org/v1",
                "kind": self.kind,
                "metadata": {"generateName": f"{self.name}-train-"},
                "spec": {"runPolicy": {"cleanPodPolicy": clean_pod_policy}, self.replicas: specs},
            }
        )


def mistake(problem: str) -> ComposeError:
    """An error in what a program says, with the line that says it."""
    return ComposeError(f"{call_site()}: {problem}")


def _variables(secret: str) -> list[Any]:
    from couler.core import states

    known = states._secrets.get(secret)
    if known is None:
        raise mistake(f"there is no Secret '{secret}'; make it with couler.create_secret")
    found: list[Any] = known.to_env_list()
    return found


def _limits(resources: Resources) -> dict[str, str]:
    """`cpu=1,memory=1Gi,gpu=1`, or a mapping, under Kubernetes' names."""
    pairs = resources.items() if isinstance(resources, Mapping) else _pairs(resources)
    unknown = next((key for key, _ in pairs if key not in _RESOURCES and "/" not in key), None)
    if unknown is not None:
        raise mistake(f"a training step has no resource '{unknown}'; one of {', '.join(_RESOURCES)}")
    return {_RESOURCES.get(key, key): str(value) for key, value in pairs}


def _pairs(resources: str) -> list[tuple[str, str]]:
    found = []
    for word in resources.split(","):
        key, _, value = (part.strip() for part in word.partition("="))
        if not key or not value:
            raise mistake(f"resources {resources!r} are not of the form 'cpu=1,memory=1Gi'")
        found.append((key, value))
    return found


_TRAINERS = (
    Trainer("MPIJob", "mpi", "mpiReplicaSpecs", "Launcher"),
    Trainer("PyTorchJob", "pytorch", "pytorchReplicaSpecs", "Master"),
    Trainer("TFJob", "tensorflow", "tfReplicaSpecs", "Chief", ("PS", "Worker"), optional=True),
)
STEPS: Mapping[str, Callable[..., Any]] = {trainer.name: trainer.train for trainer in _TRAINERS}
"""`train` of each module of `couler.steps`, by the module's name."""
