"""The recycling allocator in native code: large blocks are kept after use, warm and already backed by memory.

Flows in:  sizes, from any thread, with or without the interpreter lock.
Flows out: 64-byte aligned blocks.

A block fresh from the system costs a page fault and a zeroed page for every 4 KB, more than most kernels. Size classes
have 4 steps in a power of two, one mapping for each block, one last-in-first-out list of free blocks for each class,
each stamped with the tick of its release. A 64-byte header stands before the data; the data's place within the page
changes from block to block, so that arrays of one size don't fight for the same cache sets.

Small arrays have free lists of their own, guarded by the interpreter lock, with a 16-byte header: half the cost of
NumPy's allocation, which matters for calls that take tens of nanoseconds.
"""

from __future__ import annotations

import sys

from tracejit.xla_lite.runtime.native.layout import (
    CACHED,
    CLASSES,
    COLOUR,
    COLOUR_STEP,
    COLOURS,
    H_ASKED,
    H_BYTES,
    H_CLASS,
    H_MAPPED,
    H_MAPPING,
    H_NEXT,
    H_TICK,
    HEADER,
    HEADS,
    HITS,
    HUGE,
    HUGE_FROM,
    HUGE_PAGE,
    KEPT_TICKS,
    LARGEST,
    LIMIT,
    LIVE,
    LOCK,
    MIN_SHIFT,
    MISSES,
    NEXT_TICK,
    POISON,
    POISON_BYTE,
    SMALL_CLASSES,
    SMALL_COUNTS,
    SMALL_HEADER,
    SMALL_HEADS,
    SMALL_KEPT,
    SMALL_SHIFT,
    TICK,
    TICK_LENGTH,
)
from tracejit.xla_lite.runtime.native.words import (
    atomic_store32,
    below,
    clock,
    compare_swap32,
    export,
    external,
    inline,
    leading_zeros,
    likely,
    noinline,
    pause,
    put_word,
    static,
    unlikely,
    word,
)

blocks = static(HEADS // 8 + CLASSES)
small_blocks = static(2 * SMALL_CLASSES)

PROTECTION, PRIVATE_ANONYMOUS = 3, 0x1002 if sys.platform == "darwin" else 0x22
MADV_HUGEPAGE = 14

mmap = external("i64(i64, i64, i32, i32, i32, i64)")
munmap = external("i32(i64, i64)")
madvise = external("i32(i64, i64, i32)")
sched_yield = external("i32()")
memset = external("i64(i64, i32, i64)")
PyMem_RawMalloc = external("i64(i64)")
PyMem_RawFree = external("void(i64)")
memcpy = external("i64(i64, i64, i64)")


@export
def blocks_lock() -> None:
    """Taken for a few instructions at a time; mapping and unmapping happen outside."""
    while not compare_swap32(blocks + LOCK, 0, 1):
        for _ in range(16):
            pause()
        sched_yield()


@export
def blocks_unlock() -> None:
    """Gives the lock back."""
    atomic_store32(blocks + LOCK, 0)


@inline
def bump(offset: int, amount: int) -> None:
    """Adds to a counter of the state, which the caller has locked."""
    put_word(blocks, offset, word(blocks, offset) + amount)


@inline
def quantum_shift(total: int) -> int:
    """log2 of the step between size classes around `total`: a quarter of the power of two below it."""
    return 61 - leading_zeros(total - 1)


def new_block(size_class: int, size: int) -> int:
    """Maps a fresh block; 0 if the system has no memory."""
    huge = word(blocks, HUGE) != 0 and size >= HUGE_FROM
    mapped = size + HUGE_PAGE if huge else size
    mapping = mmap(0, mapped, PROTECTION, PRIVATE_ANONYMOUS, -1, 0)
    if unlikely(mapping == -1):
        return 0
    start = mapping
    if huge:
        start = (mapping + HUGE_PAGE - 1) & -HUGE_PAGE
        madvise(start, size, MADV_HUGEPAGE)
    blocks_lock()
    colour = word(blocks, COLOUR)
    put_word(blocks, COLOUR, (colour + 1) & (COLOURS - 1))
    bump(MISSES, 1)
    bump(LIVE, size)
    blocks_unlock()
    data = start + HEADER + colour * COLOUR_STEP
    put_word(data, H_CLASS - HEADER, size_class)
    put_word(data, H_BYTES - HEADER, size)
    put_word(data, H_MAPPING - HEADER, mapping)
    put_word(data, H_MAPPED - HEADER, mapped)
    return data


@export
def tj_alloc(asked: int) -> int:
    """A block of at least `asked` bytes, 64-byte aligned, its content undefined; 0 if there is no memory."""
    if unlikely(below(LARGEST, asked)):
        return 0
    total = asked + HEADER + COLOURS * COLOUR_STEP
    if total < 1 << MIN_SHIFT:
        total = 1 << MIN_SHIFT
    shift = quantum_shift(total)
    units = (total + (1 << shift) - 1) >> shift  # 5 to 8
    size_class = (shift + 3 - MIN_SHIFT) * 4 + units - 5
    head = HEADS + 8 * size_class
    blocks_lock()
    data = word(blocks, head)
    if likely(data != 0):
        put_word(blocks, head, word(data, H_NEXT - HEADER))
        size = word(data, H_BYTES - HEADER)
        bump(CACHED, -size)
        bump(LIVE, size)
        bump(HITS, 1)
    blocks_unlock()
    if data == 0:
        data = new_block(size_class, units << shift)
        if unlikely(data == 0):
            return 0
    put_word(data, H_ASKED - HEADER, asked)
    if unlikely(word(blocks, POISON) != 0):
        memset(data, POISON_BYTE, asked)
    return data


def unmap(data: int) -> None:
    """Returns a block to the system."""
    munmap(word(data, H_MAPPING - HEADER), word(data, H_MAPPED - HEADER))


@export
def tj_free(data: int) -> None:
    """Keeps the block for the next allocation of its class, or returns it to the system above the limit."""
    if data == 0:
        return
    size = word(data, H_BYTES - HEADER)
    now = clock()
    blocks_lock()
    bump(LIVE, -size)
    due = now - word(blocks, NEXT_TICK) > 0
    if due:
        put_word(blocks, NEXT_TICK, now + word(blocks, TICK_LENGTH))
    kept = word(blocks, CACHED) + size <= word(blocks, LIMIT)
    if kept:
        head = HEADS + 8 * word(data, H_CLASS - HEADER)
        put_word(data, H_NEXT - HEADER, word(blocks, head))
        put_word(data, H_TICK - HEADER, word(blocks, TICK))
        put_word(blocks, head, data)
        bump(CACHED, size)
    blocks_unlock()
    if not kept:
        unmap(data)
    if unlikely(due):
        blocks_trim(word(blocks, KEPT_TICKS))


def detach_old(size_class: int, before: int, chain: int) -> int:
    """Moves the class's blocks released at tick `before` or earlier to the front of `chain`; the lock is held."""
    link = blocks + HEADS + 8 * size_class  # the address of the pointer to the block looked at
    while word(link, 0) != 0:
        data = word(link, 0)
        if word(data, H_TICK - HEADER) <= before:
            put_word(link, 0, word(data, H_NEXT - HEADER))
            bump(CACHED, -word(data, H_BYTES - HEADER))
            put_word(data, H_NEXT - HEADER, chain)
            chain = data
        else:
            link = data + H_NEXT - HEADER
    return chain


@export
def blocks_trim(age: int) -> None:
    """Returns to the system what has been free for `age` ticks or more, and begins a new tick."""
    blocks_lock()
    now = word(blocks, TICK)
    put_word(blocks, TICK, now + 1)
    chain = 0
    for size_class in range(CLASSES):
        chain = detach_old(size_class, now - age, chain)
    blocks_unlock()
    while chain != 0:
        following = word(chain, H_NEXT - HEADER)
        unmap(chain)
        chain = following


# -- small blocks: only with the interpreter lock ----------------------------------------------------------------------


@inline
def small_alloc(asked: int) -> int:
    """A block of at most SMALL_LARGEST bytes, 16-byte aligned; 0 if there is no memory."""
    size_class = 0
    if asked > 1 << SMALL_SHIFT:
        size_class = 64 - SMALL_SHIFT - leading_zeros(asked - 1)
    head = small_blocks + SMALL_HEADS + 8 * size_class
    data = word(head, 0)
    if unlikely(data == 0):
        return new_small_block(size_class)
    put_word(head, 0, word(data, 0))
    put_word(head, SMALL_COUNTS, word(head, SMALL_COUNTS) - 1)
    return data


@noinline
def new_small_block(size_class: int) -> int:
    """A small block from the C library."""
    block = PyMem_RawMalloc(SMALL_HEADER + (1 << SMALL_SHIFT << size_class))
    if block == 0:
        return 0
    put_word(block, 8, ~size_class)
    return block + SMALL_HEADER


@inline
def small_free(data: int, size_class: int) -> None:
    """Keeps the block; a few of each class are kept."""
    head = small_blocks + SMALL_HEADS + 8 * size_class
    count = word(head, SMALL_COUNTS)
    if unlikely(count >= SMALL_KEPT):
        PyMem_RawFree(data - SMALL_HEADER)
        return
    put_word(data, 0, word(head, 0))
    put_word(head, 0, data)
    put_word(head, SMALL_COUNTS, count + 1)


@inline
def any_free(data: int) -> None:
    """A block of either kind."""
    size_class = word(data, -8)
    if likely(size_class < 0):
        small_free(data, ~size_class)
    else:
        tj_free(data)


# -- NumPy's allocation protocol (NEP 49): (context, ...) ------------------------------------------------------------


@export
def handler_malloc(context: int, size: int) -> int:
    """malloc"""
    return tj_alloc(size)


@export
def handler_calloc(context: int, count: int, size: int) -> int:
    """calloc; recycled blocks are dirty."""
    data = tj_alloc(count * size)
    if data != 0:
        memset(data, 0, count * size)
    return data


@export
def handler_realloc(context: int, old: int, size: int) -> int:
    """realloc"""
    data = tj_alloc(size)
    if data != 0 and old != 0:
        size_class = word(old, -8)
        held = word(old, H_ASKED - HEADER) if size_class >= 0 else 1 << SMALL_SHIFT << ~size_class
        memcpy(data, old, held if held < size else size)
        any_free(old)
    return data


@export
def handler_free(context: int, data: int, size: int) -> None:
    """free"""
    if data != 0:
        any_free(data)
