"""The pipelines that come with Argosy: one Couler program each."""

from argosy.compose.upstream import import_couler

import_couler()
