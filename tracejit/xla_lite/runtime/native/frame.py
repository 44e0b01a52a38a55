"""The tables that describe a specialisation to native code, and the frame of one call.

Flows in:  nothing; `tables.py` writes these tables, `matching.py`, `results.py` and `entry.py` read them.
Flows out: byte offsets. All tables are made of words; addresses in them are absolute.
"""

from __future__ import annotations

# A specialisation.
(
    NEXT,  # the next older specialisation of the chain
    HITS,
    POSITIONALS,
    KEYWORDS,
    NAMES,  # of the keywords
    ROOTS,
    ROOT_TABLE,
    HOLD,  # Python code may run during the checks, or inputs are given back: own a reference to whatever is read
    FRAME_WORDS,
    OUTS,  # byte offsets of the regions of the frame, from here
    RESULTS,
    OBJECTS,
    ARRAYS,
    ROOT_VALUES,
    SCRATCH,
    HELD,
    DEFERRED,  # to here
    ARRAY_COUNT,
    MAIN,
    PREPARE,
    ON_ERROR,
    FINISH,
    COMPUTED,
    COMPUTED_TABLE,
    RESULT_TREE,
    TERMS,
    TERM_TABLE,
    WRITTEN,
    WRITTEN_TABLE,
    ARRAY_NODES,
    RECOVER,
    STATE,  # byte offset in the slots
    LEFT_TREE,
    TURNS,  # how many arrays the call takes a turn on
    TURN_TABLE,  # for each the byte offset of its slot in the frame, and whether it is written
) = range(0, 8 * 35, 8)
SPEC_WORDS = 35

# A frame: these words, then the slots, then the regions above.
FRAME_SPEC, FRAME_HELD, FRAME_DEFERRED, FRAME_HOLD, FRAME_TURN = 0, 8, 16, 24, 32  # a turn's record has four words
SLOTS = 64

# A root: kind, and two operands, and its node.
ROOT_KIND, ROOT_FIRST, ROOT_SECOND, ROOT_NODE, ROOT_BYTES = 0, 8, 16, 24, 32
FROM_ARGUMENT, FROM_GLOBAL, FROM_CELL = 0, 1, 2  # (byte offset), (namespace, name), (cell)

# Input nodes: the kind, then
(
    ARRAY,
    FLOAT,
    INT,
    COMPLEX,
    SCALAR,
    SAME,  # object
    STRING,  # object
    FLOAT_BITS,  # bits
    EQUAL,  # type, object
    SEQUENCE,  # type, count, whether it is a list, children
    DICT,  # count, pairs of key and child
    OBJECT,  # type, count, pairs of name and child
    CHECK,  # callable
    ABSENT,
) = range(14)
KIND = 0
LEAF_SLOT, LEAF_NUMBER = 8, 16  # byte offset in the slots; number among the leaves
ARRAY_KEY, ARRAY_OTHER_KEY, ARRAY_RANK_WANTED, ARRAY_FLAGS_WANTED = 24, 32, 40, 48
ARRAY_STRIDED, ARRAY_TENSOR, ARRAY_TENSOR_OFFSET, ARRAY_NUMBER, ARRAY_ITEM, ARRAY_SIZES = 56, 64, 72, 80, 88, 96
SCALAR_TYPE, SCALAR_OTHER_TYPE, SCALAR_BYTES = 24, 32, 40
FIRST, SECOND, THIRD, FOURTH = 8, 16, 24, 32

# A size: a number, or ~(slot << 1 | whether this is where the name is bound).
# A size of an output or of a term: a number, or ~slot.

# A computed output.
OUT_ARRAY, OUT_LATE, OUT_SCALAR, OUT_BOOL, OUT_INT, OUT_FLOAT, OUT_COMPLEX = range(7)
OUT_KIND, OUT_DTYPE, OUT_ITEM, OUT_RANK, OUT_DIMS, OUT_TENSOR, OUT_TENSOR_OFFSET = range(0, 56, 8)
OUT_BYTES = 56

# Result nodes: the kind, then
(
    RESULT,  # number
    INPUT,  # number of the leaf
    ROOT,  # number of the root
    CONSTANT,  # object
    MAKE_LIST,  # count, children
    MAKE_TUPLE,  # count, children
    MAKE_NAMED,  # count, children, class
    MAKE_DICT,  # count, pairs of key and child
    OPTIONAL,  # number of the output that says whether it is None, child
) = range(9)
