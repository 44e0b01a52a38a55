"""`tj.grad` and its family: functions that give derivatives, inside compiled functions and outside.

Flows in:  a function of arrays and pytrees of arrays.
Flows out: functions. Inside a trace the function is recorded as a graph, transformed, and its nodes become part of the
           trace; outside, the whole is compiled as by `tj.function`.
"""
from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import FunctionType
from typing import Any

import numpy as np

from tracejit.api.library import Anywhere
from tracejit.api.mapping import record_maps
from tracejit.base.dims import symbols_of
from tracejit.base.errors import GradientError, SignatureError
from tracejit.base.trees import TreeDef, flatten, flatten_with_paths, node_type, tree_map, unflatten
from tracejit.base.types import ArrayType
from tracejit.ir.graph import Graph
from tracejit.tracing.arrays import Array
from tracejit.tracing.building import constant, convert, lift
from tracejit.tracing.context import active
from tracejit.tracing.control.schema import build, describe
from tracejit.tracing.control.schema import leaves as leaves_of
from tracejit.tracing.control.subgraph import Recorded, put_back, record
from tracejit.tracing.spans import current_span
from tracejit.transforms.forward import jvp as jvp_graph
from tracejit.transforms.reverse import joint, lasting_split, split

Argnums = int | Sequence[int]
Function = Callable[..., Any]


# ---- what users call -------------------------------------------------------------------------------------------


def grad(fn: Function, argnums: Argnums = 0, has_aux: bool = False, holomorphic: bool = False) -> Function:
    """The gradient of `fn`, which gives a real scalar, with respect to the arguments at `argnums`.

    The gradient has the structure, shapes and dtypes of the argument; a tuple of them for several argnums. has_aux: fn
    returns (value, aux), the gradient function (gradient, aux). Complex arguments: dL/d(re) - i dL/d(im).
    holomorphic: value and arguments are complex, the gradient is the complex derivative.
    Raises GradientError for results that are no real scalar and for arguments that are no floats.
    """
    def gradient(*args: Any, **kwargs: Any) -> Any:
        value, found = _value_and_grad(Call(fn, args, kwargs, argnums, has_aux), holomorphic)
        return (found, value[1]) if has_aux else found

    require_function("grad", fn, argnums)
    return derived("grad", fn, gradient, argnums, has_aux, holomorphic)


def value_and_grad(fn: Function, argnums: Argnums = 0, has_aux: bool = False, holomorphic: bool = False) -> Function:
    """As `grad`, but gives (value, gradient); with `has_aux`, ((value, aux), gradient)."""
    def both(*args: Any, **kwargs: Any) -> Any:
        return _value_and_grad(Call(fn, args, kwargs, argnums, has_aux), holomorphic)

    require_function("value_and_grad", fn, argnums)
    return derived("value_and_grad", fn, both, argnums, has_aux, holomorphic)


def jvp(fn: Function, primals: Sequence[Any], tangents: Sequence[Any], has_aux: bool = False) -> Any:
    """fn(*primals), and its derivative in the direction of `tangents`, which have the structure of the primals.

    Primals that are no floats stay as they are, whatever their tangents. has_aux: fn returns (result, aux); gives
    (result, tangent, aux).
    """
    def pushed(primals: Sequence[Any], tangents: Sequence[Any]) -> Any:
        return _jvp(Call(fn, tuple(primals), {}, tuple(range(len(primals))), has_aux, lenient=True), tangents)

    require_function("jvp", fn)
    for given, what in ((primals, "primals"), (tangents, "tangents")):
        if not isinstance(given, (tuple, list)):
            raise SignatureError(f"jvp got {what} of type {type(given).__name__}",
                                 fix=f"give a tuple of {what}, one per argument: (x,) for one")
    return derived("jvp", fn, pushed, has_aux)(tuple(primals), tuple(tangents))


def vjp(fn: Function, *primals: Any, has_aux: bool = False) -> Any:
    """fn(*primals), and the function of a cotangent of the result that gives a tuple of cotangents of the primals.

    The cotangent has the structure of the result. Primals that are no floats have None for a cotangent.
    has_aux: fn returns (result, aux); gives (result, function, aux).
    """
    require_function("vjp", fn)
    lasts = active() is None

    def forward(*primals: Any) -> Any:
        return _vjp_forward(fn, primals, has_aux, lasts)

    value, kept, part = derived("vjp", fn, forward, has_aux)(*primals)

    def pullback(cotangent: Any) -> Any:
        return _pull(part, kept, cotangent)

    return (value[0], pullback, value[1]) if has_aux else (value, pullback)


# ---- inside a trace --------------------------------------------------------------------------------------------


class Call:
    """A call whose arguments at `argnums` are differentiated. leaves: those, as traced arrays.

    has_aux: its result is (value, aux).  lenient: leaves that are no floats are left as they are; else they are errors.
    """

    def __init__(self, fn: Function, args: tuple[Any, ...], kwargs: dict[str, Any], argnums: Argnums,
                 has_aux: bool = False, lenient: bool = False):
        self.fn, self.args, self.kwargs, self.has_aux = fn, args, kwargs, has_aux
        self.is_one = isinstance(argnums, int)
        chosen = (argnums,) if isinstance(argnums, int) else tuple(argnums)
        self.numbers = tuple([_argument(n, len(args), fn) for n in chosen])
        if len(set(self.numbers)) != len(chosen):
            raise GradientError(f"argnums={argnums} names an argument twice", span=current_span(2),
                                fix="name each argument once")
        self.leaves: list[Array] = []
        self.structures: list[TreeDef] = []
        self.fixed: list[tuple[bool, Any]] = []      # of every leaf: whether it stays, and what it is then
        for n in self.numbers:
            found, structure = flatten_with_paths(args[n], _name_of(fn, n))
            self.structures.append(structure)
            for path, leaf in found:
                stays = lenient and not is_float(leaf)
                self.fixed.append((stays, leaf))
                self.leaves += [] if stays else [_differentiable(path, leaf)]

    def run(self, *leaves: Array) -> Any:
        """The call with other leaves."""
        context = active()
        assert context is not None
        rest, args = iter(leaves), list(self.args)
        whole = iter([leaf if stays else next(rest) for stays, leaf in self.fixed])
        for n, structure in zip(self.numbers, self.structures, strict=True):
            args[n] = unflatten(structure, [next(whole) for _ in range(structure.num_leaves)])
        if not isinstance(self.fn, FunctionType):
            context.namespace.root_of(self.fn, getattr(self.fn, "__name__", type(self.fn).__name__))
        return self.with_numbers(context.namespace.call(self.fn, *args, **self.kwargs))

    def with_numbers(self, result: Any) -> Any:
        """A result that is a constant is an array as others are; aux stays as it is."""
        if not self.has_aux:
            return tree_map(lambda x: lift(x) if isinstance(x, NUMBERS) else x, result)
        if type(result) is not tuple or len(result) != 2:
            raise GradientError(f"has_aux=True, but {_title(self.fn)} gives {_described(result)}", span=current_span(2),
                                fix="return a pair (value, aux)")
        return tree_map(lambda x: lift(x) if isinstance(x, NUMBERS) else x, result[0]), result[1]

    def trees(self, leaves: Sequence[Any]) -> tuple[Any, ...]:
        """Leaves in the structures of the arguments; None for those that are no floats."""
        rest = iter(leaves)
        whole = iter([None if stays else next(rest) for stays, _ in self.fixed])
        return tuple([unflatten(s, [next(whole) for _ in range(s.num_leaves)]) for s in self.structures])

    def gradients(self, made: Sequence[Array], given: Sequence[bool]) -> Any:
        """Cotangents of the leaves as the user gets them: like the arguments, zero where nothing depends on them."""
        rest = iter(made)
        found = [next(rest) if has else _zero(leaf.type) for leaf, has in zip(self.leaves, given, strict=False)]
        trees = self.trees([build(describe(leaf), iter([x])) for leaf, x in zip(self.leaves, found, strict=True)])
        return trees[0] if self.is_one else trees


def _value_and_grad(call: Call, holomorphic: bool) -> tuple[Any, Any]:
    context = active()
    assert context is not None
    recorded = record_maps(context.namespace, call.run, call.leaves)
    _require_loss(recorded, call, holomorphic)
    count = len(recorded.graph.outputs)
    both = joint(recorded.graph, wanted(call, recorded), [k == 0 for k in range(count)])
    seed = constant(1, recorded.graph.outputs[0].dtype)
    made = put_back(context, both.graph, call.leaves, recorded.operands, [seed])
    return recorded.restored(made[:count]), call.gradients(made[count:], both.given)


def wanted(call: Call, recorded: Recorded) -> list[bool]:
    return [True] * len(call.leaves) + [False] * len(recorded.operands)


def _jvp(call: Call, tangents: Sequence[Any]) -> Any:
    context = active()
    assert context is not None
    moves = _fitting(call, tuple(tangents))
    recorded = record(context.namespace, call.run, call.leaves)
    count, results = len(recorded.graph.outputs), leading(recorded, call.has_aux)
    dense = [k < results and v.dtype.is_inexact for k, v in enumerate(recorded.graph.outputs)]
    graph, given = jvp_graph(recorded.graph, wanted(call, recorded), dense)
    made = put_back(context, graph, call.leaves, recorded.operands, moves)
    rest = iter(made[count:])
    found = [next(rest) if g else _zero(v.type) for g, v in zip(given, recorded.graph.outputs, strict=True)]
    value = recorded.restored(made[:count])
    form = recorded.result.children[0] if call.has_aux else recorded.result      # type: ignore[union-attr]
    tangent = build(form, iter(found[:results]))
    return (value[0], tangent, value[1]) if call.has_aux else (value, tangent)


@dataclass(frozen=True, slots=True, eq=False)
class Backward:
    """The second half of a `vjp`: a graph of (kept values, cotangents). types: of the cotangents. It is the same object
    for every call of one trace.
    """

    graph: Graph
    given: tuple[bool, ...]
    types: tuple[ArrayType, ...]
    result: TreeDef
    forms: tuple[Any, ...]
    structures: tuple[TreeDef, ...]
    fixed: tuple[bool, ...]


def _vjp_forward(fn: Function, primals: tuple[Any, ...], has_aux: bool, lasts: bool
                 ) -> tuple[Any, tuple[Any, ...], Backward]:
    """lasts: the way back is another run."""
    context = active()
    assert context is not None
    call = Call(fn, primals, {}, tuple(range(len(primals))), has_aux, lenient=True)
    recorded = record_maps(context.namespace, call.run, call.leaves)
    count = len(recorded.graph.outputs)
    value_count = leading(recorded, has_aux)
    flags = [k < value_count and v.dtype.is_inexact for k, v in enumerate(recorded.graph.outputs)]
    graph, chosen = recorded.graph, wanted(call, recorded)
    halves = lasting_split(graph, chosen, flags) if lasts else split(graph, chosen, flags, [False] * len(graph.params))
    made = put_back(context, halves.forward, call.leaves, recorded.operands)
    value = recorded.restored(made[:count])
    types = tuple([v.type for v, f in zip(recorded.graph.outputs, flags, strict=True) if f])
    structure = flatten(value[0] if has_aux else value)[1]
    part = Backward(halves.backward, tuple(halves.given), types, structure,
                    tuple([describe(leaf) for leaf in call.leaves]), tuple(call.structures),
                    tuple([stays for stays, _ in call.fixed]))
    return value, tuple(made[count:]), part


def _pull(part: Backward, kept: tuple[Any, ...], cotangent: Any) -> Any:
    def pull(kept: tuple[Any, ...], cotangent: Any) -> Any:
        context = active()
        assert context is not None
        cts = _fitting_structure(cotangent, part)
        made = iter(put_back(context, part.graph, [lift(k) for k in kept], (), cts))
        leaves = [build(form, iter([next(made) if has else _zero(form.type)]))
                  for form, has in zip(part.forms, part.given, strict=False)]
        rest = iter(leaves)
        whole = iter([None if stays else next(rest) for stays in part.fixed])
        return tuple([unflatten(s, [next(whole) for _ in range(s.num_leaves)]) for s in part.structures])

    return derived("pullback", part, pull)(kept, cotangent)


# ---- checks ----------------------------------------------------------------------------------------------------


def require_function(name: str, fn: Any, argnums: Any = 0) -> None:
    """What can be seen before the first call."""
    if not callable(fn):
        raise SignatureError(f"{name} got a {type(fn).__name__} in place of a function",
                             fix=f"give the function: tj.{name}(f)(x), not tj.{name}(f(x))")
    chosen = list(argnums) if isinstance(argnums, (tuple, list)) else [argnums]
    if any(isinstance(n, bool) or not isinstance(n, int) for n in chosen):
        raise SignatureError(f"argnums={argnums!r}, which is no position",
                             fix="give an int or a tuple of ints; what is differentiated is passed by position")


def _argument(number: int, count: int, fn: Function) -> int:
    if not -count <= number < count:
        raise GradientError(f"argnums={number}, but {_title(fn)} was called with {count} positional arguments",
                            span=current_span(2), fix="pass the argument by position, or name another one")
    return number % count


def _title(fn: Any) -> str:
    return str(getattr(fn, "__qualname__", type(fn).__name__))


def _name_of(fn: Any, number: int) -> str:
    """What the user calls an argument."""
    code = getattr(fn, "__code__", None)
    names = code.co_varnames[:code.co_argcount] if code is not None else ()
    return names[number] if number < len(names) else f"args[{number}]"


NUMBERS = (bool, int, float, complex, np.generic)


def is_float(leaf: Any) -> bool:
    """Whether a leaf holds floats or complex numbers."""
    return (isinstance(leaf, (Array, float, complex)) or hasattr(leaf, "dtype")) and lift(leaf).type.dtype.is_inexact


def _differentiable(path: str, leaf: Any) -> Array:
    """A leaf as a traced array of floats or complex numbers."""
    array = lift(leaf) if isinstance(leaf, (Array, float, complex)) or hasattr(leaf, "dtype") else None
    if array is None or not array.type.dtype.is_inexact:
        what = f"{array.type}" if array is not None else f"a {type(leaf).__name__}"
        raise GradientError(f"{path} is {what}: there is no derivative by it", span=current_span(2),
                            why="derivatives are defined for floats and complex numbers",
                            fix="convert it, x.astype(float), or leave it out of argnums")
    return array


def _require_loss(recorded: Recorded, call: Call, holomorphic: bool) -> None:
    """The first output is the value: a real scalar, or a complex one of complex arguments."""
    count = leading(recorded, call.has_aux)
    output = recorded.graph.outputs[0] if count == 1 else None
    kind = "complex" if holomorphic else "real"
    if output is None or output.shape != () or not (output.dtype.is_complex if holomorphic else output.dtype.is_float):
        what = str(output.type) if output is not None else f"a structure of {count} arrays" if count else "no number"
        fix = "sum or average the result; return further results with has_aux=True; see also tj.vjp and tj.jacobian"
        if output is not None and output.dtype.is_complex:
            fix = "take abs, .real or .imag of the result, or say holomorphic=True for a complex derivative"
        raise GradientError(f"{_title(call.fn)} gives {what}; a gradient needs a {kind} scalar", span=current_span(2),
                            why="the gradient is the derivative of one number", fix=fix)
    if holomorphic and any(not leaf.type.dtype.is_complex for leaf in call.leaves):
        raise GradientError("holomorphic=True, but an argument is real", span=current_span(2),
                            fix="convert it, x.astype(complex), or leave holomorphic out")


def leading(recorded: Recorded, has_aux: bool) -> int:
    """The number of outputs that the value is made of, without the auxiliary results."""
    return len(list(leaves_of(recorded.result.children[0]))) if has_aux else recorded.count   # type: ignore[union-attr]


def _described(result: Any) -> str:
    return str(result.type) if type(result) is Array else str(flatten(result)[1]) if node_type(result) else \
        f"a {type(result).__name__}"


def _fitting(call: Call, tangents: tuple[Any, ...]) -> list[Array]:
    """Tangents of the leaves: their structure is that of the arguments."""
    found, structure = flatten(tangents)
    expected = flatten(call.args)[1]
    if structure != expected:
        raise GradientError(f"tangents have the structure {structure}, expected {expected}", span=current_span(2),
                            fix="give one for each leaf, in the same containers")
    moving = [x for x, (stays, _) in zip(found, call.fixed, strict=True) if not stays]
    return [_of_type(x, leaf.type, "tangents") for x, leaf in zip(moving, call.leaves, strict=True)]


def _of_type(x: Any, type: ArrayType, what: str) -> Array:
    array = lift(x)
    if array.type.shape != type.shape:
        if symbols_of(type.shape) - symbols_of(array.type.shape):
            raise GradientError(f"one of the {what} is {array.type}, expected {type}, whose size only the run knows",
                                span=current_span(2), why="the size was found out by another run",
                                fix="make the result's size known, or take the derivative of a number made of it")
        raise GradientError(f"one of the {what} is {array.type}, expected {type}", span=current_span(2),
                            fix="give it the shape of what it belongs to")
    return convert(array, type.dtype)


def _fitting_structure(cotangent: Any, part: Backward) -> list[Array]:
    found, structure = flatten(cotangent)
    if structure != part.result:
        raise GradientError(f"the cotangent has the structure {structure}, expected {part.result}",
                            span=current_span(2), fix="give one for each leaf of the result, in the same containers")
    floats = [x for x in found if lift(x).type.dtype.is_inexact or len(found) == len(part.types)]
    return [_of_type(x, t, "cotangents") for x, t in zip(floats, part.types, strict=True)]


def _zero(type: ArrayType) -> Array:
    return constant(0, type.dtype, type.shape)


# ---- outside a trace -------------------------------------------------------------------------------------------


KNOWN = 1000        # derivatives that are remembered, the newest ones
_known: OrderedDict[Any, Anywhere] = OrderedDict()


def derived(kind: str, fn: Any, python: Function, *options: Any) -> Anywhere:
    """The derivative of a function is one object, so that its traces are found again."""
    name, like = f"{kind}({_title(fn)})", fn if callable(fn) else python
    key = kind, fn, *(tuple(o) if isinstance(o, list) else o for o in options)
    try:
        known = _known.get(key)
    except TypeError:       # a callable without a hash
        return Anywhere(python, like, name)
    if known is None:
        known = _known[key] = Anywhere(python, like, name)
        while len(_known) > KNOWN:
            _known.popitem(last=False)
    else:
        try:
            _known.move_to_end(key)
        except KeyError:        # another thread has dropped it since
            _known[key] = known
    return known
