"""The rules, a module for each subject; `argosy.lint.registry` finds them."""
