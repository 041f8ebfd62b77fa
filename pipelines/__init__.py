"""The pipelines that come with Argosy: one Couler program each."""
