"""How a value travels as text; see `argosy.step.values`."""

from __future__ import annotations

from argosy.step.values import SCALARS, ValueType, shown

__all__ = ["SCALARS", "ValueType", "shown"]
