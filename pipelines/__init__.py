"""The pipelines that come with Argosy: one Couler program each."""

from argosy.compose.quick_couler import import_couler

import_couler()
