"""What holds for a whole installation: one file, `argosy.yaml`, laid under every pipeline.

```yaml
images:                          # prefix of an image's name: what stands there instead
  123456789012.dkr.ecr.eu-central-1.amazonaws.com/: registry.example/ml/
namespace: ml-pipelines
serviceAccountName: workflow-sa
workflow:                        # fields of Argo's workflow spec; a pipeline's own win
  archiveLogs: true
  artifactRepositoryRef: {configMap: artifact-repositories, key: default-v1}
templateDefaults:                # fields of every template that does not set them itself
  nodeSelector: {pool: cpu}
```
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from argosy.errors import UsageError
from argosy.merge import merged
from argosy.text import did_you_mean

FILE = "argosy.yaml"
VARIABLE = "ARGOSY_SETTINGS"
_KEYS: dict[str, type] = {
    "images": dict,
    "namespace": str,
    "serviceAccountName": str,
    "workflow": dict,
    "templateDefaults": dict,
}


@dataclass(frozen=True)
class Settings:
    """The settings of an installation; empty by default."""

    images: Mapping[str, str] = field(default_factory=dict)
    namespace: str | None = None
    service_account: str | None = None
    workflow: Mapping[str, Any] = field(default_factory=dict)
    template_defaults: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def find(cls) -> "Settings":
        """The settings of $ARGOSY_SETTINGS, else of `argosy.yaml` in the current directory, else none."""
        named = os.environ.get(VARIABLE)
        path = Path(named or FILE)
        return cls.load(path) if named or path.is_file() else cls()

    @classmethod
    def load(cls, path: Path) -> "Settings":
        """The settings of a file.

        Raises:
            UsageError: it cannot be read, or has an unknown key or a value of another type.
        """
        try:
            content = yaml.safe_load(path.read_bytes()) or {}
        except OSError as error:
            raise UsageError(f"cannot read the settings '{path}': {error.strerror}") from None
        except yaml.YAMLError as error:
            raise UsageError(f"{path}: not YAML: {getattr(error, 'problem', error)}") from None
        if not isinstance(content, dict):
            raise UsageError(f"{path}: settings are a mapping")
        for key, value in content.items():
            if key not in _KEYS:
                raise UsageError(f"{path}: unknown setting '{key}'{did_you_mean(str(key), _KEYS)}")
            if not isinstance(value, _KEYS[key]):
                raise UsageError(f"{path}: the setting '{key}' is not a {_NOUNS[_KEYS[key]]}")
        return cls(
            images=content.get("images", {}),
            namespace=content.get("namespace"),
            service_account=content.get("serviceAccountName"),
            workflow=content.get("workflow", {}),
            template_defaults=content.get("templateDefaults", {}),
        )

    def image(self, name: str) -> str:
        """The image that stands for `name` here: the longest prefix counts."""
        prefix = max((p for p in self.images if name.startswith(p)), key=len, default=None)
        return name if prefix is None else self.images[prefix] + name.removeprefix(prefix)

    def under(self, spec: dict[str, Any]) -> dict[str, Any]:
        """A workflow spec with the installation's laid under it."""
        spec = merged(spec, {k: v for k, v in self.workflow.items() if k not in spec})
        if self.service_account:
            spec["serviceAccountName"] = self.service_account
        if self.template_defaults:
            spec["templateDefaults"] = merged(self.template_defaults, spec.get("templateDefaults", {}))
        # Templates are the long part: they come last.
        spec["templates"] = [self._template(t) for t in spec.pop("templates")]
        return spec

    def _template(self, template: dict[str, Any]) -> dict[str, Any]:
        kind = "script" if "script" in template else "container"
        container = template.get(kind)
        if not container or not self.images or "image" not in container:
            return template
        return {**template, kind: {**container, "image": self.image(container["image"])}}


_NOUNS: dict[type, str] = {dict: "mapping", str: "text"}
