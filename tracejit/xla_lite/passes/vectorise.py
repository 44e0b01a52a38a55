"""Runs a region for many indices at once: every value that differs between them gets a leading axis.

Flows in:  a region, its arguments (with or without the axis), the graph that is being written.
Flows out: its outputs. `Unfit` where an op has no rule here, or would see what another index does.

A `while` whose condition differs goes on while any index does; those that are done keep their state. Branches that
differ are all computed, under a mask for the loops in them, and selected.
"""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tracejit.base.dims import Size
from tracejit.base.dtypes import BOOL, I64
from tracejit.base.types import ArrayType
from tracejit.ir.graph import Graph, Node, Value
from tracejit.xla_lite.passes.element_loops import freezes
from tracejit.xla_lite.passes.loop_forms import LoopForm, extract, loop_form
from tracejit.xla_lite.passes.runs import Run, window_shape


class Unfit(Exception):
    """This region cannot run for many indices at once."""


@dataclass(frozen=True, slots=True)
class Batched:
    """A value. many: its first axis is that of the indices."""

    value: Value
    many: bool


@dataclass(slots=True)
class Vectoriser:
    """Writes into `graph`. size: of the new axis.  mask: the indices that count, None for all.

    states: arrays that only scatters may touch.  runs: gathers and scatters of consecutive elements, all inside.
    """

    graph: Graph
    size: Size
    mask: Value | None = None
    states: set[Value] = field(default_factory=set)
    runs: Mapping[Node, Run] = field(default_factory=dict)

    def region(self, region: Graph, arguments: Sequence[Batched]) -> list[Batched]:
        """The outputs of a region."""
        env = dict(zip(region.params, arguments, strict=True))
        self.nodes(region.nodes, env)
        return [env[v] for v in region.outputs]

    def nodes(self, nodes: Sequence[Node], env: dict[Value, Batched]) -> None:
        for node in nodes:
            made = self.node(node, [env[v] for v in node.operands])
            env.update(zip(node.results, made, strict=True))

    def node(self, node: Node, operands: list[Batched]) -> list[Batched]:
        if node.op.name == "bind_dim" and not operands[0].many and self.mask is None:
            return [Batched(self.graph.emit(node.op, [operands[0].value], node.attributes)[0], False)]
        if node.has_effect:
            raise Unfit(node.op.name)
        if (run := self.runs.get(node)) is not None and (made := self.run(node, run, operands)) is not None:
            return [made]
        if node.op.kind == "scatter":
            return [self.scatter(node, operands)]
        if any(x.value in self.states for x in operands):
            raise Unfit("an array that the loop writes is read")
        if node.op.name == "while":
            return self.while_loop(node, operands)
        if not any(x.many for x in operands):
            return [Batched(v, False) for v in self.graph.keep(node, [x.value for x in operands])]
        match node.op.name:
            case "for":
                return self.for_loop(node, operands)
            case "case":
                return self.case(node, operands)
            case "broadcast_in_dim":
                return [self.broadcast(node, operands[0])]
            case "reshape":
                return [self.same(node, operands, shape=(self.size, *node.attributes["shape"]))]
            case "gather":
                return [self.gather(node, operands)]
        if node.op.kind == "pointwise":
            values = [self.many(x) for x in operands]
            return [Batched(v, True) for v in self.graph.emit(node.op, values, node.attributes, node.span)]
        if node.op.kind == "reduction" and "axes" in node.attributes:
            return [self.same(node, operands, axes=tuple(a + 1 for a in node.attributes["axes"]))]
        raise Unfit(node.op.name)

    def many(self, x: Batched) -> Value:
        """The value with the axis, copied along it if need be."""
        if x.many:
            return x.value
        shape = (self.size, *x.value.shape)
        return self.graph.add("broadcast_in_dim", x.value, shape=shape, dims=tuple(range(1, len(shape))))

    def same(self, node: Node, operands: list[Batched], **attributes: object) -> Batched:
        made = self.graph.emit(node.op, [x.value for x in operands], {**node.attributes, **attributes}, node.span)
        return Batched(made[0], True)

    def broadcast(self, node: Node, x: Batched) -> Batched:
        shape = (self.size, *node.attributes["shape"])
        return self.same(node, [x], shape=shape, dims=(0, *(d + 1 for d in node.attributes["dims"])))

    # ---- places -------------------------------------------------------------------------------------

    def gather(self, node: Node, operands: list[Batched]) -> Batched:
        """Indices with the axis; a source with it is read at its own index."""
        source, *indices = operands
        positions = [self.many(x) for x in indices]
        axes = node.attributes["axes"]
        if source.many:
            own = self.graph.add("iota", dimension=0, type=ArrayType(I64, positions[0].shape))
            positions, axes = [own, *positions], (0, *(a + 1 for a in axes))
        made = self.graph.emit("gather", [source.value, *positions], {**node.attributes, "axes": axes}, node.span)
        return Batched(made[0], True)

    def scatter(self, node: Node, operands: list[Batched]) -> Batched:
        """All updates at once, in the order of the indices."""
        state, updates, *indices = operands
        if state.many or self.mask is not None or any(x.value in self.states for x in operands[1:]) \
                or node.op.name != "scatter":
            raise Unfit("scatter")
        values = [self.many(x) for x in (updates, *indices)]
        made = self.graph.emit(node.op, [state.value, *values], node.attributes, node.span)
        return Batched(made[0], False)

    def run(self, node: Node, run: Run, operands: list[Batched]) -> Batched | None:
        """Consecutive places are a slice. None where the array differs between indices."""
        array = operands[0].value
        reads = node.op.name in ("gather", "dynamic_slice")
        if operands[0].many or array in self.states and reads and not run.own:
            return None
        axes = node.attributes.get("axes", tuple(range(array.rank)))
        window = None if "axes" in node.attributes else window_shape(node)
        at = dict(zip(axes, run.starts, strict=True))
        sizes = [(1 if a in at else n) if window is None else window[a] for a, n in enumerate(array.shape)]
        sizes[run.axis] = self.size
        zero = self.graph.add("constant", value=0, type=ArrayType(I64))
        starts = [at.get(a, zero) for a in range(array.rank)]
        if reads:
            found = self.graph.add("dynamic_slice", array, *starts, sizes=tuple(sizes), span=node.span)
            return Batched(self.in_front(found, run.axis, axes if window is None else ()), True)
        new = self.many(operands[1])
        if window is not None:
            new = self.without(new, tuple(a + 1 for a in range(run.axis + 1)))
        kept = [a for a in range(array.rank) if a == run.axis or a not in axes] if window is None else \
            list(range(run.axis, array.rank))
        new = self.graph.add("broadcast_in_dim", new, shape=tuple(sizes), dims=tuple(kept))
        return Batched(self.graph.add("dynamic_update_slice", array, new, *starts, span=node.span), False)

    def in_front(self, x: Value, axis: int, gone: Sequence[int]) -> Value:
        """The axis of the indices first, single places before it; of a gather the axes that it takes are gone."""
        if gone:
            return self.without(x, tuple(a for a in gone if a != axis))
        rest = x.shape[axis + 1:]
        x = self.without(x, tuple(range(axis)))
        shape = (x.shape[0], *(1,) * (axis + 1), *rest)
        return self.graph.add("broadcast_in_dim", x, shape=shape, dims=(0, *range(axis + 2, len(shape))))

    def without(self, x: Value, axes: tuple[int, ...]) -> Value:
        """Single places of these axes."""
        zero = self.graph.add("constant", value=0, type=ArrayType(I64))
        return self.graph.add("gather", x, *[zero] * len(axes), axes=axes) if axes else x

    # ---- branches -----------------------------------------------------------------------------------

    def case(self, node: Node, operands: list[Batched]) -> list[Batched]:
        """Every branch, then the one that is asked for."""
        index, *arguments = operands
        if not index.many:
            raise Unfit("case")
        branches, outer = node.attributes["branches"], self.mask
        tests = [self.is_branch(index.value, k) for k in range(len(branches) - 1)]
        others = tests[0] if tests else None
        for test in tests[1:]:
            others = self.graph.add("or", others, test)     # type: ignore[arg-type]
        tests.append(self.graph.add("not", others) if others is not None else self.always())
        results = []
        for branch, test in zip(branches, tests, strict=True):
            self.mask = test if outer is None else self.graph.add("and", outer, test)
            results.append([self.many(x) for x in self.region(branch, arguments)])
        self.mask = outer
        chosen = results[-1]
        for test, found in zip(reversed(tests[:-1]), reversed(results[:-1]), strict=True):
            chosen = [self.select(test, x, y) for x, y in zip(found, chosen, strict=True)]
        return [Batched(v, True) for v in chosen]

    def is_branch(self, index: Value, k: int) -> Value:
        if index.dtype is BOOL:
            return self.graph.add("not", index)
        return self.graph.add("compare", index, self.graph.add("constant", value=k, type=index.type), direction="EQ")

    def always(self) -> Value:
        return self.graph.add("constant", value=True, type=ArrayType(BOOL, (self.size,)))

    def select(self, test: Value, x: Value, y: Value) -> Value:
        if x.rank > 1:
            test = self.graph.add("broadcast_in_dim", test, shape=x.shape, dims=(0,))
        return x if x is y else self.graph.add("select", test, x, y)

    # ---- loops --------------------------------------------------------------------------------------

    def for_loop(self, node: Node, operands: list[Batched]) -> list[Batched]:
        count, body = node.attributes["carries"], node.attributes["body"]
        bounds, rest = operands[:3], operands[3:]
        if any(x.many for x in bounds):
            return self.for_as_while(node, operands)
        flags = [x.many for x in rest]
        while True:
            region, found = self.inner(body, [False, *flags], rest, first=[bounds[0]])
            if all(flags[k] or not x.many for k, x in enumerate(found)):
                break
            flags[:count] = [flag or x.many for flag, x in zip(flags, found, strict=False)]
        region.outputs = tuple(self.of(region).many(x) if flag else x.value
                               for flag, x in zip(flags, found, strict=False))
        values = [self.many(x) if flag else x.value for flag, x in zip(flags, rest, strict=True)]
        values += [self.mask] if self.mask is not None else []
        made = self.graph.emit("for", [*(x.value for x in bounds), *values], {"body": region, "carries": count},
                               node.span)
        return [Batched(v, flag) for v, flag in zip(made, flags, strict=False)]

    def inner(self, body: Graph, flags: Sequence[bool], rest: Sequence[Batched],
              first: Sequence[Batched] = ()) -> tuple[Graph, list[Batched]]:
        """A region for many indices; the mask is its last parameter."""
        region = Graph([self.type_of(x, flag) for x, flag in zip([*first, *rest], flags, strict=True)])
        within = self.of(region)
        if self.mask is not None:
            within.mask = region.add_param(self.mask.type)
        arguments = [Batched(p, flag) for p, flag in zip(region.params, flags, strict=False)]
        return region, within.region(body, arguments)

    def of(self, region: Graph) -> Vectoriser:
        return Vectoriser(region, self.size)

    def type_of(self, x: Batched, many: bool) -> ArrayType:
        shape = x.value.shape
        return ArrayType(x.value.dtype, (self.size, *shape) if many and not x.many else shape)

    def while_loop(self, node: Node, operands: list[Batched]) -> list[Batched]:
        """With a condition that all share, only what differs gets the axis; otherwise all of the state."""
        count = node.attributes["carries"]
        if any(x.many for x in operands) and (form := _frozen_form(node)) is not None:
            return self.frozen_while(node, form, operands)
        flags = [x.many for x in operands]
        while True:
            _, (test,) = self.inner(node.attributes["cond"], flags, operands)
            if test.many:
                return self.masked_while(node.attributes["cond"], node.attributes["body"], count, operands)
            region, found = self.inner(node.attributes["body"], flags, operands)
            if all(flags[k] or not x.many for k, x in enumerate(found)):
                break
            flags[:count] = [flag or x.many for flag, x in zip(flags, found, strict=False)]
        region.outputs = tuple(self.of(region).many(x) if flag else x.value
                               for flag, x in zip(flags, found, strict=False))
        cond, (test,) = self.inner(node.attributes["cond"], flags, operands)
        cond.outputs = (test.value,)
        values = [self.many(x) if flag else x.value for flag, x in zip(flags, operands, strict=True)]
        values += [self.mask] if self.mask is not None else []
        made = self.graph.emit("while", values, {"cond": cond, "body": region, "carries": count}, node.span)
        return [Batched(v, flag) for v, flag in zip(made, flags, strict=False)]

    def masked_while(self, cond: Graph, body: Graph, count: int, operands: Sequence[Batched]) -> list[Batched]:
        """while any(test): state = select(test, body(state), state)."""
        flags = [True] * count + [x.many for x in operands[count:]]
        testing, going = self.going(cond, flags, operands)
        testing.outputs = (testing.add("reduce_or", going, axes=(0,)),)
        region, going = self.going(cond, flags, operands)
        within = self.of(region)
        within.mask = going
        found = within.region(body, [Batched(p, flag) for p, flag in zip(region.params, flags, strict=False)])
        region.outputs = tuple(within.select(going, within.many(x), p)
                               for x, p in zip(found, region.params, strict=False))
        values = [self.many(x) if flag else x.value for flag, x in zip(flags, operands, strict=True)]
        values += [self.mask] if self.mask is not None else []
        made = self.graph.emit("while", values, {"cond": testing, "body": region, "carries": count})
        return [Batched(v, True) for v in made]

    def going(self, cond: Graph, flags: Sequence[bool], operands: Sequence[Batched]) -> tuple[Graph, Value]:
        """A region that begins with the condition; the indices that go on."""
        region, (test,) = self.inner(cond, flags, operands)
        going = self.of(region).many(test)
        return region, going if self.mask is None else region.add("and", going, region.params[len(flags)])

    def frozen_while(self, node: Node, form: LoopForm, operands: Sequence[Batched]) -> list[Batched]:
        """A loop whose elements already stop one by one goes on while any of any index does."""
        count, body = node.attributes["carries"], node.attributes["body"]
        flags = [bool(x.value.rank) or x.many for x in operands[:count]] + [x.many for x in operands[count:]]
        if any(flag and not p.rank for flag, p in zip(flags, body.params[:count], strict=False)):
            raise Unfit("a counter of its own for each index")
        tests = extract(form.graph, form.graph.params, [v for v in (form.predicate, form.uniform) if v is not None])
        testing, (predicate, *uniform) = self.inner(tests, flags, operands)
        going = self.of(testing).many(predicate)
        if self.mask is not None or any(x.many for x in uniform):
            raise Unfit("a masked loop over arrays")
        test = testing.add("reduce_or", going, axes=tuple(range(going.rank)))
        testing.outputs = (testing.add("and", uniform[0].value, test) if uniform else test,)
        region, found = self.inner(body, flags, operands)
        if any(x.many and not flag for flag, x in zip(flags, found, strict=False)):
            raise Unfit("a counter of its own for each index")
        region.outputs = tuple(self.of(region).many(x) if flag else x.value
                               for flag, x in zip(flags, found, strict=False))
        values = [self.many(x) if flag else x.value for flag, x in zip(flags, operands, strict=True)]
        made = self.graph.emit("while", values, {"cond": testing, "body": region, "carries": count}, node.span)
        return [Batched(v, flag) for v, flag in zip(made, flags, strict=False)]

    def for_as_while(self, node: Node, operands: list[Batched]) -> list[Batched]:
        """Bounds that differ: the counter is part of the state. The step must be a known number."""
        lower, upper, step, *rest = operands
        count, body = node.attributes["carries"], node.attributes["body"]
        by = step.value.node.attributes["value"] if step.value.node is not None \
            and step.value.node.op.name == "constant" else 0
        if not isinstance(by, int) or not by:
            raise Unfit("step")
        scalar = ArrayType(I64)
        types = [scalar, *(p.type for p in body.params[1:]), scalar]
        cond, counted = Graph(types), Graph(types)
        cond.outputs = (cond.add("compare", cond.params[0], cond.params[-1], direction="LT" if by > 0 else "GT"),)
        following = counted.inline(body, counted.params[:-1])
        one = counted.add("constant", value=by, type=scalar)
        counted.outputs = (counted.add("add", counted.params[0], one), *following)
        return self.masked_while(cond, counted, count + 1, [lower, *rest, upper])[1:]


def _frozen_form(node: Node) -> LoopForm | None:
    """The form of a loop over arrays whose elements keep their state when they are done."""
    form = loop_form(node, node.operands)
    if form is None or form.predicate is None or not freezes(form, form.predicate):
        return None
    return form
