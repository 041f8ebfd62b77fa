# Types for Couler, which carries none: of couler.argo, what pipelines are written with.
