"""`python -m argosy.step MODULE:FUNCTION ...`: a step of a module that holds several."""

from __future__ import annotations

import sys

from argosy.step.program import leave, main

leave(main(sys.argv[1:]))
