"""One program, every environment: what differs between clusters, laid over a compiled manifest.

```yaml
environments:
  dev:
    namespace: ml-dev
    parameters: {dataset: "s3://dev/digits"}        # values of the workflow's parameters
    workflow: {hostNetwork: true}                   # fields of Argo's workflow spec
    components:                                     # by the step's name, or a pattern with * ? [ ]
      train: {resources: {cpu: 2, memory: 4Gi, gpu: 0}, nodeSelector: {}}
      "*": {env: {AWS_ENDPOINT_URL_S3: "http://minio.dev:9000"}}
    pipelines:                                      # the same for one pipeline, and for its steps by name
      nightly: {steps: {train-again: {activeDeadlineSeconds: 60}}}
```

Patterns are laid first, exact names over them; components, then the pipeline's components, then its steps.
"""

from argosy.compose.environments.overlay import Overlay
from argosy.compose.environments.place import Place

__all__ = ["Overlay", "Place"]
