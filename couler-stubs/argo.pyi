# Couler's verbs, as its fork and upstream have them both; anything else of the module is Any.
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from typing import Any, TypeAlias

_Condition: TypeAlias = dict[str, Any]
_Body: TypeAlias = Callable[[], Any]
_Words: TypeAlias = str | Sequence[str]

class WFStatus(Enum):
    Succeeded = ...
    Failed = ...
    Error = ...

def equal(pre: Any, post: Any = ...) -> _Condition: ...
def not_equal(pre: Any, post: Any = ...) -> _Condition: ...
def bigger(pre: Any, post: Any = ...) -> _Condition: ...
def smaller(pre: Any, post: Any = ...) -> _Condition: ...
def bigger_equal(pre: Any, post: Any = ...) -> _Condition: ...
def smaller_equal(pre: Any, post: Any = ...) -> _Condition: ...
def when(condition: _Condition, function: _Body) -> Any: ...
def concurrent(function_list: Sequence[_Body], subtasks: bool = ...) -> list[Any]: ...
def dag(dependency_graph: Sequence[Sequence[_Body]]) -> Any: ...
def set_dependencies(step_function: _Body, dependencies: Sequence[Any] | str | None = ...) -> Any: ...
def exec_while(condition: _Condition, inner_while: _Body) -> Any: ...

# What comes back has the lists of what the items put out, which no type of the body's says.
def map(function: Callable[..., Any], input_list: Any, *more: Any) -> Any: ...
def set_exit_handler(status: WFStatus, exit_handler: _Body) -> None: ...
def run_container(
    image: str | None = ...,
    command: _Words | None = ...,
    args: Any = ...,
    output: Any = ...,
    input: Any = ...,
    env: Mapping[str, Any] | None = ...,
    secret: Any = ...,
    resources: Mapping[str, Any] | None = ...,
    timeout: float | None = ...,
    retry: int | None = ...,
    step_name: str | None = ...,
    image_pull_policy: str | None = ...,
    **more: Any,
) -> Any: ...
def run_script(
    image: str | None = ...,
    command: _Words | None = ...,
    source: str | _Body | None = ...,
    args: Any = ...,
    output: Any = ...,
    input: Any = ...,
    env: Mapping[str, Any] | None = ...,
    secret: Any = ...,
    resources: Mapping[str, Any] | None = ...,
    timeout: float | None = ...,
    retry: int | None = ...,
    step_name: str | None = ...,
    image_pull_policy: str | None = ...,
    **more: Any,
) -> Any: ...
def run_job(
    manifest: str | None = ...,
    success_condition: str | None = ...,
    failure_condition: str | None = ...,
    **more: Any,
) -> Any: ...
def __getattr__(name: str) -> Any: ...
