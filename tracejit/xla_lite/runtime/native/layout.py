"""Where native code keeps its state, as far as Python reads or writes it too, and the sizes both must agree on.

Flows in:  nothing.
Flows out: byte offsets and limits; Python need not load the native modules to use them.
"""

from __future__ import annotations

import os

# The thread pool.
CLOSED = 0x7FFFFFFF
LOW = 0xFFFFFFFF
FRONT, BACK = 1, 1 << 16  # what one claim adds to the state
FRONT_MASK, BACK_SHIFT, MOST_CHUNKS = 0xFFFF, 16, 0x7FFE
# Offsets in the page: one cache line for each word that is written by itself.
STATE, GENERATION = 0, 4  # the workers' futex word is the upper half of STATE (little endian)
DONE, WAITING = 64, 72  # finished chunks, which is the caller's futex word; whether the caller sleeps
SLEEPERS = 128
BUSY = 192
SIGNALS, JOB_OWNER = 200, 208  # what is known of signals during a job; the thread state of who opened it
LOOKED, ENDED = 1, 2  # a worker has looked for signals; the job's caller has an exception
JOB, CONTEXT, COUNT = 256, 264, 272
STARTED, STOP, ALIVE = 320, 324, 328  # 0 no, 1 starting, 2 yes
ASKED = 336  # when somebody last asked whether workers are spinning
MUTEX, CONDITION = 384, 512
WORKERS, SPIN, PORTABLE = 0, 8, 16

FUTEX_CALL = {"x86_64": 202, "aarch64": 98}.get(os.uname().machine, 0)
FUTEX_WAIT, FUTEX_WAKE = 128, 129  # process-private
NAP_NANOSECONDS = 20_000_000  # how long a caller sleeps at most before it looks at signals

# The recycling allocator.
MIN_SHIFT, CLASSES = 16, 4 * 26  # 64 KiB to 4 TiB
HEADER, COLOURS, COLOUR_STEP = 64, 16, 128
HUGE_PAGE, HUGE_FROM = 2 << 20, 4 << 20
LARGEST = 1 << 40

# Header, at data - HEADER: bytes of the class, next free block, tick, bytes asked for, mapping and its length, class.
H_BYTES, H_NEXT, H_TICK, H_ASKED, H_MAPPING, H_MAPPED, H_CLASS = 0, 8, 16, 24, 32, 40, 56
# State; list heads follow.
LOCK, TICK, CACHED, LIMIT, HITS, MISSES, HUGE, LIVE = 0, 64, 72, 80, 88, 96, 104, 112
POISON, COLOUR, TICK_LENGTH, NEXT_TICK, KEPT_TICKS, HEADS = 120, 128, 136, 144, 152, 192

# Small blocks: 16 to 1024 bytes in powers of two. Header: a word unused, then ~class where large blocks have a class.
SMALL_LARGEST, SMALL_SHIFT, SMALL_CLASSES, SMALL_HEADER, SMALL_KEPT = 1024, 4, 7, 16, 64
SMALL_HEADS, SMALL_COUNTS = 0, 8 * SMALL_CLASSES
POISON_BYTE = 0xFF  # NaN as a float, -1 as an index

# Output arrays.
RECYCLE_FROM = 1 << 17  # below, and above the small ones, the C library's allocator serves well: it keeps what it gave
LATE_FROM = 1 << 15  # arrays of compiled code's own making stay where they are from here on, smaller ones are copied
HUGE_ARRAY = 1 << 47  # beyond any address space: NumPy says so in its own words
HANDLER_CAPSULE = 0  # offset in array_settings; 0 while recycled arrays are turned off

# Instances of the callable type.
VECTORCALL, SLOW, OWNER, WEAK_REFERENCES, DICT, CHAIN, KEPT, INSTANCE_BYTES = 16, 24, 32, 40, 48, 56, 64, 72
NOT_MINE = 1  # no address of an object

# Calls from compiled code into the interpreter; how many watch all calls, which then go to the slow path.
POLL_TICKS, NEXT_POLL, HOST_FUNCTION, WATCHERS = 0, 64, 128, 136

# Turns on memory that calls change in place. State; before the data of such memory: who uses it, who waits for it.
TURN_EPOCH, TURN_NEWEST = 0, 8
TURN_USERS, TURN_WAITING, TURN_HEADER = 0, 8, 64
TURN_NAP, TURN_LONGEST_NAP = 20, 1000  # microseconds

# Growing stacks: a header, behind it for each field where its entries are and how many bytes one of them has.
STACK_LENGTH, STACK_CAPACITY, STACK_NEXT, STACK_FIELDS, STACK_COMPANION, STACK_KEY, STACK_SIBLING, STACK_HEADER = (
    0, 8, 16, 24, 32, 40, 48, 56)
STACK_DATA, STACK_ROW, STACK_FIELD = 0, 8, 16
STACK_LEAST = 8  # entries

# The contract of compiled code.
ERROR_WORDS = 8
LONG_WORK = 20_000  # nanoseconds from which the interpreter lock is released
