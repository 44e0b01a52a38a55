"""The heap type `tracejit.Callable`: what a native compiled function is to Python.

Flows in:  the native functions of `native/entry.py`.
Flows out: `new_callable`, and access to the fields of instances.
"""

from __future__ import annotations

import ctypes
from typing import Any

from tracejit.xla_lite.runtime.abi import c_address
from tracejit.xla_lite.runtime.library import native_library
from tracejit.xla_lite.runtime.locks import runtime_lock
from tracejit.xla_lite.runtime.native import layout

T_PYSSIZET, READONLY = 19, 1
TP_CALL, TP_CLEAR, TP_DEALLOC, TP_DESCR_GET, TP_TRAVERSE, TP_MEMBERS, TP_GETSET = 50, 51, 52, 54, 71, 72, 73
DISALLOW_INSTANTIATION, IMMUTABLE_TYPE, HAVE_VECTORCALL = 1 << 7, 1 << 8, 1 << 11
HAVE_GC, METHOD_DESCRIPTOR = 1 << 14, 1 << 17
# Immutable, because assigning __call__ would have to turn vectorcall off; a method descriptor, so that obj.f(x) calls
# f(obj, x) without making a bound method.
FLAGS = DISALLOW_INSTANTIATION | IMMUTABLE_TYPE | HAVE_VECTORCALL | HAVE_GC | METHOD_DESCRIPTOR


class _Slot(ctypes.Structure):
    _fields_ = [("slot", ctypes.c_int), ("pointer", ctypes.c_void_p)]


class _Spec(ctypes.Structure):
    _fields_ = [
        ("name", ctypes.c_char_p), ("basicsize", ctypes.c_int), ("itemsize", ctypes.c_int),
        ("flags", ctypes.c_uint), ("slots", ctypes.POINTER(_Slot)),
    ]  # fmt: skip


class _Member(ctypes.Structure):
    _fields_ = [
        ("name", ctypes.c_char_p), ("type", ctypes.c_int), ("offset", ctypes.c_ssize_t), ("flags", ctypes.c_int),
        ("doc", ctypes.c_char_p),
    ]  # fmt: skip


class _GetSet(ctypes.Structure):
    _fields_ = [
        ("name", ctypes.c_char_p), ("get", ctypes.c_void_p), ("set", ctypes.c_void_p), ("doc", ctypes.c_char_p),
        ("closure", ctypes.c_void_p),
    ]  # fmt: skip


def _make_type() -> type:
    library = native_library()
    offsets = {
        b"__weaklistoffset__": layout.WEAK_REFERENCES,
        b"__dictoffset__": layout.DICT,
        b"__vectorcalloffset__": layout.VECTORCALL,
    }
    members = (_Member * 4)(*(_Member(n, T_PYSSIZET, at, READONLY, None) for n, at in offsets.items()), _Member())
    get_dict, set_dict = c_address("PyObject_GenericGetDict"), c_address("PyObject_GenericSetDict")
    getset = (_GetSet * 2)(_GetSet(b"__dict__", get_dict, set_dict, None, None), _GetSet())
    slots = (_Slot * 8)(
        _Slot(TP_CALL, c_address("PyVectorcall_Call")),
        _Slot(TP_CLEAR, library["callable_clear"]),
        _Slot(TP_DEALLOC, library["callable_dealloc"]),
        _Slot(TP_DESCR_GET, library["callable_bind"]),
        _Slot(TP_TRAVERSE, library["callable_traverse"]),
        _Slot(TP_MEMBERS, ctypes.addressof(members)),
        _Slot(TP_GETSET, ctypes.addressof(getset)),
        _Slot(0, None),
    )
    spec = _Spec(b"tracejit.Callable", layout.INSTANCE_BYTES, 0, FLAGS, slots)
    make = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.c_void_p)(("PyType_FromSpec", ctypes.pythonapi))
    made: type = make(ctypes.addressof(spec))
    for kept in (members, getset, slots, spec, made):  # the type points into them
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(kept))
    return made


_type: type | None = None  # written by callable_type(), once


def callable_type() -> type:
    """The heap type."""
    global _type
    if _type is None:
        with runtime_lock:
            if _type is None:
                _type = _make_type()
    return _type


def new_callable(slow: Any, owner: object) -> Any:
    """An instance with an empty chain; it owns `slow` and `owner`."""
    allocate = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.py_object, ctypes.c_ssize_t)(
        ("PyType_GenericAlloc", ctypes.pythonapi)
    )
    made = allocate(callable_type(), 0)
    put_reference(made, layout.SLOW, slow)
    put_reference(made, layout.OWNER, owner)
    put_reference(made, layout.KEPT, [])
    put_word(made, layout.VECTORCALL, native_library()["callable_call"])
    return made


def put_word(instance: Any, offset: int, value: int) -> None:
    """Writes a field; atomic for other threads."""
    ctypes.c_int64.from_address(id(instance) + offset).value = value


def get_word(instance: Any, offset: int) -> int:
    """Reads a field."""
    return ctypes.c_int64.from_address(id(instance) + offset).value


def get_reference(instance: Any, offset: int) -> Any:
    """The object in a field, which must not be empty."""
    return ctypes.cast(get_word(instance, offset), ctypes.py_object).value


def put_reference(instance: Any, offset: int, value: object) -> None:
    """Replaces the object in a field."""
    old = get_word(instance, offset)
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(value))
    put_word(instance, offset, id(value))
    if old:
        ctypes.pythonapi.Py_DecRef(ctypes.c_void_p(old))
