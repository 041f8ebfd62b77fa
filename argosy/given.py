"""The values that a user gives a pipeline's parameters, against what it declares."""

from collections.abc import Mapping

from argosy.errors import UsageError
from argosy.interface import Interface
from argosy.values import ValueType


def check_types(interface: Interface, given: Mapping[str, str]) -> None:
    """Raise UsageError for a value that a pipeline's own declaration does not allow."""
    for port in interface.inputs:
        if port.argo_name in given and isinstance(port.type, ValueType):
            try:
                port.type.decode(given[port.argo_name])
            except ValueError as error:
                raise UsageError(f"parameter '{port.argo_name}': {error}") from None
