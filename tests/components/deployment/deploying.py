"""A whole deployment in one process, step after step, as the pipeline joins them."""

from dataclasses import dataclass
from pathlib import Path

from argosy.components.deployment import (
    determine_version,
    fetch_model,
    prepare_artifacts,
    reload_triton,
    update_aliases,
    upload_to_s3,
    verify_deployment,
)
from tests.components.deployment import models
from tests.components.deployment.conftest import Servers


@dataclass(frozen=True)
class Deployed:
    """What a deployment's steps told."""

    triton_version: int
    model_uri: str
    live: str
    previous: str
    endpoint: str
    model: Path


@dataclass(frozen=True)
class Deployment:
    """The seven steps, as the pipeline joins them."""

    servers: Servers
    name: str

    def run(
        self,
        owner: str,
        source: str = "alias:deploy",
        force: int | None = None,
        output_shape: tuple[int, ...] = (1, models.CLASSES),
        validated_version: str = "",
    ) -> Deployed:
        """Deploy what `source` means; the verification wants an answer of that shape."""
        at = self.servers
        fetched = fetch_model(
            model_name=self.name,
            source=source,
            validated_version=validated_version,
            mlflow_tracking_uri=at.mlflow,
        )
        version = determine_version(
            model_version=fetched.model_version,
            model_sha256=fetched.model_sha256,
            owner=owner,
            model_name=self.name,
            s3_bucket=at.bucket,
            force_version=force,
        ).triton_version
        artifacts = prepare_artifacts(
            model=fetched.model,
            metadata=fetched.metadata,
            triton_version=version,
            model_name=self.name,
            deployed_by="pod",
        ).artifacts
        published = upload_to_s3(
            artifacts=artifacts,
            triton_version=version,
            owner=owner,
            model_name=self.name,
            s3_bucket=at.bucket,
            force_version=force,
        )
        ready = reload_triton(
            triton_version=version,
            model_name=self.name,
            triton_url=at.triton,
            triton_grpc_url=at.triton_grpc,
            load_timeout=60,
            owner=owner,
            mlflow_tracking_uri=at.mlflow,
            s3_bucket=at.bucket,
        ).triton_version
        aliases = update_aliases(
            model_version=fetched.model_version,
            triton_version=ready,
            model_name=self.name,
            mlflow_tracking_uri=at.mlflow,
            owner=owner,
            s3_bucket=at.bucket,
        )
        verified = verify_deployment(
            triton_version=ready,
            model_name=self.name,
            triton_url=at.triton,
            expected_input_shape=[1, 3, models.SIZE, models.SIZE],
            expected_output_shape=list(output_shape),
            owner=owner,
            model_version=fetched.model_version,
            mlflow_tracking_uri=at.mlflow,
            s3_bucket=at.bucket,
        )
        moved = (aliases.live, aliases.previous)
        return Deployed(ready, published.model_uri, *moved, verified.endpoint, fetched.model)
