"""A pipeline of two steps that hand on what they get, with as many ports as are wanted."""

import itertools
from pathlib import Path

PORTS = 75
_FILES = itertools.count(1)
NAMES = [f"p{number:02}" for number in range(PORTS)]

_PROGRAM = '''
from typing import NamedTuple
import couler.argo as couler
from argosy import component, pipeline

DEFAULTS = {defaults}

class Same(NamedTuple):
{fields}

@component(image="example/steps:1")
def first({inputs}) -> Same:
    """Give back what came in."""
    return Same({names})

@component(image="example/steps:1")
def second({inputs}) -> Same:
    """Give back what came in."""
    return Same({names})

@pipeline
def echo({defaulted}) -> Same:
    """Hand everything on, twice."""
    same = first({passed})
    return second({received})
'''


def program(folder: Path, defaults: list[str] | None = None) -> Path:
    """Write the program; each port of the pipeline is empty unless `defaults` says otherwise."""
    texts = dict(zip(NAMES, defaults or [""] * PORTS, strict=False))
    names = list(texts)
    # A process imports each name once.
    path = folder / f"echo_program_{next(_FILES)}.py"
    path.write_text(
        _PROGRAM.format(
            defaults=ascii(texts),
            fields="\n".join(f"    {name}: str" for name in names),
            inputs=", ".join(f"{name}: str" for name in names),
            names=", ".join(names),
            defaulted=", ".join(f"{name}: str = DEFAULTS[{name!r}]" for name in names),
            received=", ".join(f"{name}=same.{name}" for name in names),
            passed=", ".join(f"{name}={name}" for name in names),
        ),
        encoding="utf-8",
    )
    return path
