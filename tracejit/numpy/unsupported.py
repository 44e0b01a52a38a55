"""What NumPy exports and a compiled function can't do: an error with the line, the reason and what to use instead.

Flows in:  calls of NumPy functions without an implementation.
Flows out: `UnsupportedError` where an argument is traced; without traced arguments the function itself runs.
"""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tracejit.numpy.support import unsupported
from tracejit.tracing.building import is_static
from tracejit.tracing.implements import NUMPY, implements

_HOST = "call it outside of the compiled function, and pass its result as an argument"
_FILES = "reading and writing files belongs to the host"
_TEXT = "text has no compiled form"
_DATES = "dates and business days have no compiled form"

# names -> (reason, way out)
_REASONS: dict[str, tuple[str, str]] = {    # fixed table
    "roots poly polydiv": ("the size or the dtype of its result depends on the data", _HOST),
    "save savez savez_compressed savetxt load loadtxt genfromtxt fromfile fromregex memmap": (_FILES, _HOST),
    "array2string array_repr array_str format_float_positional format_float_scientific base_repr binary_repr "
    "typename fromstring mintypecode": (_TEXT, "use print(x) or an f-string, which are compiled"),
    "busday_count busday_offset is_busday datetime_as_string datetime_data isnat": (_DATES, _HOST),
    "frombuffer fromiter from_dlpack": ("it makes an array of foreign memory", "pass the array as an argument"),
    "asmatrix bmat matrix": ("np.matrix has no compiled form", "use arrays and @"),
    "nditer ndenumerate ndindex nested_iters": ("it iterates in Python", "use whole-array functions, or range loops"),
    "frompyfunc": ("it makes arrays of objects", "use np.vectorize or whole-array functions"),
    "trim_zeros": ("the result's size depends on the data in a way that has no compiled form",
                   "find the ends with np.argmax(x != 0) and slice")}
_FFT = ("fft ifft rfft irfft fft2 ifft2 fftn ifftn rfft2 irfft2 rfftn irfftn hfft ihfft fftfreq rfftfreq fftshift "
        "ifftshift")


def _refusal(name: str, function: Callable[..., Any], why: str, fix: str) -> Callable[..., Any]:
    def call(*args: Any, **options: Any) -> Any:
        if is_static(args) and is_static(tuple(options.values())):
            return function(*args, **options)
        unsupported(f"np.{name} is not supported in a compiled function", why=why, fix=fix)
    call.__name__ = name
    return call


def _refuse(names: str, why: str, fix: str, prefix: str = "") -> None:
    for name in names.split():
        found: Any = np
        for part in f"{prefix}{name}".split("."):
            found = getattr(found, part, None)
        if found is not None and found not in NUMPY:
            implements(found)(_refusal(f"{prefix}{name}", found, why, fix))


for _names, (_why, _fix) in _REASONS.items():
    _refuse(_names, _why, _fix)
_refuse(_FFT, "Fourier transforms have no compiled form", _HOST, "fft.")
