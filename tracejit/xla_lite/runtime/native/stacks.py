"""Growing stacks in native code: one block of memory for each field, doubled when it is full.

Flows in:  handles, which are addresses of headers; the word of a run that its stacks hang on.
Flows out: memory of the C library, freed by `tj_stacks_free` at the end of the run.

Generated code reads and writes headers and entries itself; it comes here for new memory only.
"""

from __future__ import annotations

from tracejit.xla_lite.runtime.native.layout import (
    STACK_CAPACITY,
    STACK_COMPANION,
    STACK_DATA,
    STACK_FIELD,
    STACK_FIELDS,
    STACK_HEADER,
    STACK_KEY,
    STACK_LEAST,
    STACK_LENGTH,
    STACK_NEXT,
    STACK_ROW,
    STACK_SIBLING,
)
from tracejit.xla_lite.runtime.native.words import (
    Int32,
    export,
    external,
    multiply_saturated,
    put_word,
    unlikely,
    word,
)

malloc = external("i64(i64)")
realloc = external("i64(i64, i64)")
free = external("void(i64)")
memset = external("i64(i64, i32, i64)")


@export
def tj_stack_new(owner: int, fields: int) -> int:
    """An empty stack that hangs on `owner`; 0 if there is no memory. The caller writes the sizes of rows."""
    header = malloc(STACK_HEADER + fields * STACK_FIELD)
    if unlikely(header == 0):
        return 0
    put_word(header, STACK_LENGTH, 0)
    put_word(header, STACK_CAPACITY, 0)
    put_word(header, STACK_FIELDS, fields)
    put_word(header, STACK_COMPANION, 0)
    put_word(header, STACK_NEXT, word(owner, 0))
    for k in range(fields):
        put_word(header + STACK_HEADER + k * STACK_FIELD, STACK_DATA, 0)
    put_word(owner, 0, header)
    return header


@export
def tj_stack_grow(header: int, wanted: int) -> Int32:
    """Room for `wanted` entries at least; 1 if there is no memory."""
    capacity = 2 * word(header, STACK_CAPACITY)
    if capacity < wanted:
        capacity = wanted
    if capacity < STACK_LEAST:
        capacity = STACK_LEAST
    for k in range(word(header, STACK_FIELDS)):
        field = header + STACK_HEADER + k * STACK_FIELD
        size = multiply_saturated(capacity, word(field, STACK_ROW))
        if size == 0:
            size = 1
        data = realloc(word(field, STACK_DATA), size)
        if unlikely(data == 0):
            return 1
        put_word(field, STACK_DATA, data)
    put_word(header, STACK_CAPACITY, capacity)
    return 0


@export
def tj_stack_companion(header: int, key: int) -> int:
    """The companion of a stack by its number; 0 if there is none."""
    found = word(header, STACK_COMPANION)
    while found != 0:
        if word(found, STACK_KEY) == key:
            return found
        found = word(found, STACK_SIBLING)
    return 0


@export
def tj_stack_accompany(header: int, companion: int, key: int) -> Int32:
    """Makes an empty stack a companion: as long, of zeros; 1 if there is no memory."""
    wanted = word(header, STACK_LENGTH)
    if tj_stack_grow(companion, wanted) != 0:
        return 1
    for k in range(word(companion, STACK_FIELDS)):
        field = companion + STACK_HEADER + k * STACK_FIELD
        memset(word(field, STACK_DATA), 0, wanted * word(field, STACK_ROW))
    put_word(companion, STACK_LENGTH, wanted)
    put_word(companion, STACK_KEY, key)
    put_word(companion, STACK_SIBLING, word(header, STACK_COMPANION))
    put_word(header, STACK_COMPANION, companion)
    return 0


@export
def tj_stack_release(header: int, key: int) -> int:
    """A companion that is none from now on; 0 if there is none. No stack, 0, has none."""
    if header == 0:
        return 0
    before = 0
    found = word(header, STACK_COMPANION)
    while found != 0:
        following = word(found, STACK_SIBLING)
        if word(found, STACK_KEY) == key:
            if before == 0:
                put_word(header, STACK_COMPANION, following)
            else:
                put_word(before, STACK_SIBLING, following)
            return found
        before = found
        found = following
    return 0


@export
def tj_stacks_free(owner: int) -> None:
    """Frees all stacks of a run."""
    header = word(owner, 0)
    put_word(owner, 0, 0)
    while header != 0:
        following = word(header, STACK_NEXT)
        for k in range(word(header, STACK_FIELDS)):
            free(word(header + STACK_HEADER + k * STACK_FIELD, STACK_DATA))
        free(header)
        header = following
