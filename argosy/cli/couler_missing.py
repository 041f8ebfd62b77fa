"""Another package under Couler's name: told in one line, with what to do."""

from importlib.util import find_spec

from argosy.errors import UsageError


def explained(error: ModuleNotFoundError) -> UsageError | None:
    """The mistake behind a module of Couler's that is not there; None where another is missing.

    The package index has an empty `couler` beside the `couler-scanflow` that Argosy asks for.
    """
    if (error.name or "").partition(".")[0] != "couler":
        return None
    spec = find_spec("couler")
    if spec is None:
        return UsageError("Couler is not installed; write pip install couler-scanflow")
    place = spec.origin or next(iter(spec.submodule_search_locations or ()), "")
    return UsageError(
        f"'{place}' has no '{error.name}': the package 'couler' there is not Couler; write "
        "pip uninstall couler, then pip install --force-reinstall couler-scanflow"
    )
