"""Words for a shell to complete: pipelines, files, runs, parameters; and `argosy completion`, its script."""

import os
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem, get_completion_class, split_arg_string

SHELLS = ("bash", "zsh", "fish")
_VARIABLE = "_ARGOSY_COMPLETE"
_MANIFESTS = (".yaml", ".yml", ".json")
# A parameter's name ends with "=", after which no space follows; fish knows that by itself.
_NO_SPACE = {
    "bash": ("    return 0\n", '    [[ "${COMPREPLY[0]}" == *= ]] && compopt -o nospace\n    return 0\n'),
    "zsh": (
        "compadd -U -V",
        '[[ "$completions[1]" == *= ]] && compadd -S "" -U -V unsorted -a completions || compadd -U -V',
    ),
}


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
def completion(shell: str) -> None:
    """Print the script with which a shell completes words.

    Pipelines, files, runs and parameters are completed.

    \b
    bash, in ~/.bashrc:                      eval "$(argosy completion bash)"
    zsh, in ~/.zshrc, after compinit:        eval "$(argosy completion zsh)"
    fish, in ~/.config/fish/config.fish:     argosy completion fish | source
    """
    known = get_completion_class(shell)
    assert known is not None
    root = click.get_current_context().find_root().command
    text = known(root, {}, "argosy", _VARIABLE).source()
    click.echo(text.replace(*_NO_SPACE.get(shell, ("", ""))) if shell in _NO_SPACE else text)


Completer = Callable[[click.Context, click.Parameter, str], list[CompletionItem[Any]]]


def targets(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem[Any]]:
    """Pipelines by name, Python files and manifests."""
    return [*pipelines(ctx, param, incomplete), *_items(_files(incomplete, _MANIFESTS, folders=False))]


def pipelines(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem[Any]]:
    """Pipelines by name, and Python files."""
    from argosy.compose.loader import built_in_names
    from argosy.step.quiet import keep_couler_quiet

    names = built_in_names()
    keep_couler_quiet()
    return _items([*(n for n in names if n.startswith(incomplete)), *_files(incomplete, (".py",))])


def sources(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem[Any]]:
    """Files that can be linted."""
    return _items(_files(incomplete, (".py", *_MANIFESTS)))


def runs(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem[Any]]:
    """Runs of the state folder, the latest first."""
    try:
        found = [p for p in (_state_dir(ctx) / "runs").iterdir() if p.name.startswith(incomplete)]
        return _items(path.name for path in sorted(found, key=lambda p: p.stat().st_mtime, reverse=True))
    except OSError:
        return []


def steps(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem[Any]]:
    """Steps of the run on the command line."""
    from argosy.errors import UsageError
    from argosy.local.runs.record import History

    run = _typed(ctx, param).get("run")
    try:
        nodes = History(_state_dir(ctx)).find(str(run)).nodes if run else ()
    except UsageError:
        return []
    return _items(node.name for node in nodes if node.name.startswith(incomplete))


def _state_dir(ctx: click.Context) -> Path:
    return Path(ctx.params.get("state_dir") or os.environ.get("ARGOSY_STATE_DIR") or ".argosy")


def assignments(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem[Any]]:
    """The parameters of the pipeline or manifest on the command line: `NAME=`, then its known values."""
    typed = _typed(ctx, param)
    named = typed.get("target") or typed.get("file") or next(iter(typed.get("pipelines") or ()), None)
    if not named:
        return []
    with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
        try:
            known = dict(_parameters(str(named)))
        except BaseException:  # of the user's own program; whoever runs it is told
            return []
    name, equals, _ = incomplete.partition("=")
    if equals:
        return _items(w for value in known.get(name, ()) if (w := f"{name}={value}").startswith(incomplete))
    given = {str(word).partition("=")[0] for word in typed.get("assignments") or ()}
    return _items(f"{n}=" for n in known if n.startswith(incomplete) and n not in given)


def _typed(ctx: click.Context, param: click.Parameter) -> dict[str, Any]:
    """The words before the option to complete: with a `-p` at the end click reads no argument at all."""
    words = split_arg_string(os.environ.get("COMP_WORDS", ""))
    depth = len(ctx.command_path.split())
    ends = [n for n, word in enumerate(words) if word in param.opts]
    if not ends:
        return ctx.params
    before = words[depth : ends[-1]]
    return ctx.command.make_context(ctx.info_name, before, parent=ctx.parent, resilient_parsing=True).params


def _parameters(target: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Each parameter with the values that it may have, where they are few."""
    from argosy.compose.loader import is_manifest, load_manifest, load_pipeline
    from argosy.manifest.parts import parameters_of
    from argosy.step.values import ValueType

    if is_manifest(target):
        for entry in parameters_of(load_manifest(Path(target))):
            yield str(entry["name"]), tuple(map(str, entry.get("enum") or ()))
        return
    for port in load_pipeline(target).interface.inputs:
        kind = port.type
        choices = ("true", "false") if isinstance(kind, ValueType) and kind.base is bool else ()
        yield port.argo_name, choices or tuple(getattr(kind, "choices", ()))


def _files(incomplete: str, suffixes: tuple[str, ...], *, folders: bool = True) -> list[str]:
    """Files of these sorts, and folders to look further in; hidden ones on request."""
    folder, _, start = incomplete.rpartition("/")
    prefix = f"{folder}/" if "/" in incomplete else ""
    try:
        entries = sorted(Path(prefix or ".").expanduser().iterdir())
    except OSError:
        return []
    shown = [e for e in entries if e.name.startswith(start) and (start or not e.name.startswith("."))]
    return [
        prefix + entry.name + "/" * entry.is_dir()
        for entry in shown
        if (folders and entry.is_dir()) or (entry.suffix in suffixes and entry.is_file())
    ]


def _items(words: Any) -> list[CompletionItem[Any]]:
    return [CompletionItem(word) for word in words if "\n" not in word and "," not in word]
