"""Transformations of JAX that lose the types of the functions that they transform."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol, TypeVar, overload

from jax._src.stages import Lowered, Traced

F = TypeVar("F", bound=Callable[..., Any])
R = TypeVar("R", covariant=True)
T = TypeVar("T")

class Jitted(Protocol[R]):
    """A compiled function: it takes also what can be converted to its arguments."""

    def __call__(self, *args: Any, **kwargs: Any) -> R: ...
    def __get__(self, obj: object, owner: object = ...) -> Jitted[R]: ...
    def lower(self, *args: Any, **kwargs: Any) -> Lowered: ...
    def trace(self, *args: Any, **kwargs: Any) -> Traced: ...
    def eval_shape(self, *args: Any, **kwargs: Any) -> Any: ...
    def clear_cache(self) -> None: ...

@overload
def jit(
    fun: Callable[..., R],
    /,
    *,
    static_argnums: int | Sequence[int] | None = ...,
    static_argnames: str | Iterable[str] | None = ...,
    donate_argnums: int | Sequence[int] | None = ...,
    in_shardings: Any = ...,
    out_shardings: Any = ...,
    compiler_options: dict[str, Any] | None = ...,
) -> Jitted[R]: ...
@overload
def jit(
    *,
    static_argnums: int | Sequence[int] | None = ...,
    static_argnames: str | Iterable[str] | None = ...,
    donate_argnums: int | Sequence[int] | None = ...,
    in_shardings: Any = ...,
    out_shardings: Any = ...,
    compiler_options: dict[str, Any] | None = ...,
) -> Callable[[Callable[..., R]], Jitted[R]]: ...
def grad(
    fun: Callable[..., Any],
    argnums: int | Sequence[int] = ...,
    has_aux: bool = ...,
    allow_int: bool = ...,
) -> Callable[..., Any]: ...
def value_and_grad(
    fun: Callable[..., Any],
    argnums: int | Sequence[int] = ...,
    has_aux: bool = ...,
    allow_int: bool = ...,
) -> Callable[..., tuple[Any, Any]]: ...
def vjp(
    fun: Callable[..., T], *primals: Any
) -> tuple[T, Callable[..., tuple[Any, ...]]]: ...
def vmap(
    fun: F,
    in_axes: Any = ...,
    out_axes: Any = ...,
    axis_name: str | None = ...,
    axis_size: int | None = ...,
) -> F: ...
def eval_shape(fun: Callable[..., Any], *args: Any, **kwargs: Any) -> Any: ...
def device_get(x: Any) -> Any: ...
def device_put(x: T, device: Any = ..., *, may_alias: bool | None = ...) -> T: ...
def block_until_ready(x: T) -> T: ...
def __getattr__(name: str) -> Any: ...
