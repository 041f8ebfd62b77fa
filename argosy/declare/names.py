"""Names from elsewhere as Python and Argo have them."""

import keyword
import re


def python_name(name: str) -> str:
    """The Python name for an input or output called `name`, as KFP makes it: `Input 1` is `input_1`."""
    found = re.sub(r"[^_0-9a-z]+", "_", name.lower()).strip("_")
    if not found or found[0].isdigit():
        found = f"in_{found}".rstrip("_")
    return f"{found}_" if keyword.iskeyword(found) else found


def step_name(name: str) -> str:
    """The name in YAML for a component called `name`: `Train a model` is `train-a-model`."""
    found = re.sub(r"[^0-9a-z]+", "-", name.lower()).strip("-")[:63].rstrip("-")
    return found or "step"
