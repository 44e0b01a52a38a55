"""The systems that run a workload: how each is imported, given its arguments, compiled, waited for and read back.

Flows in: a `Workload`.  Flows out: `System` objects for the worker; `installed()` for the rest.

Every system gets its best case: its own arrays (tracejit takes and gives NumPy arrays), its fast-math switches, its
frozen or graph mode.  Nothing is imported before `load()`.
"""

import importlib
import importlib.metadata
import importlib.util
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tracejit.base.trees import tree_map
from tracejit.cli.harness.workload import Workload, rebind


class System:
    """NumPy itself, and the defaults of the others."""

    name = "numpy"
    module = "numpy"
    package = "numpy"
    environment: Mapping[str, str] = {}

    def load(self) -> None:
        """Imports the system; the first place where that happens."""
        self.library = importlib.import_module(self.module)

    def version(self) -> str:
        return importlib.metadata.version(self.package)

    def function(self, workload: Workload) -> Callable[..., Any]:
        """The function to time: what compiles itself at the first call, or is compiled already."""
        if workload.complete and self.name in workload.peers:
            return workload.peers[self.name]()
        return self.build(workload)

    def build(self, workload: Workload) -> Callable[..., Any]:
        """The function from a text that is not compiled yet."""
        return workload.numpy

    def place(self, value: Any) -> Any:
        """An argument in the system's own kind of array."""
        return value

    def wait(self, result: Any) -> None:
        """Returns when the result is computed."""

    waits = False    # whether `wait` has anything to do; else the timing loop leaves it out

    def fetch(self, result: Any) -> Any:
        """The result as NumPy arrays."""
        return tree_map(np.asarray, result)

    def arrays(self, args: Any, convert: Callable[[np.ndarray[Any, Any]], Any]) -> Any:
        """Converts the arrays of `args`, leaves scalars."""
        return tree_map(lambda leaf: convert(leaf) if isinstance(leaf, np.ndarray) else leaf, args)


class Tracejit(System):
    name, module, package = "tracejit", "tracejit", "tracejit"

    def version(self) -> str:
        return "this tree"

    def build(self, workload: Workload) -> Callable[..., Any]:
        compiled: Callable[..., Any] = self.library.function(workload.numpy)
        return compiled


class Numba(System):
    name, module, package = "numba", "numba", "numba"

    def build(self, workload: Workload) -> Callable[..., Any]:
        own = workload.peers.get(self.name)
        return own() if own else numba_jit(workload.numpy)


def numba_jit(fn: Callable[..., Any]) -> Callable[..., Any]:
    """`fn` by Numba with fast-math and threads."""
    import numba

    helper = numba.njit(fastmath=True)
    compiled: Callable[..., Any] = numba.njit(rebind(fn, helper), fastmath=True, parallel=True)
    return compiled


class Jax(System):
    name, module, package = "jax", "jax", "jax"
    environment = {"JAX_PLATFORMS": "cpu", "JAX_ENABLE_X64": "1"}
    waits = True

    def build(self, workload: Workload) -> Callable[..., Any]:
        own = workload.peers.get(self.name)
        fn = own() if own else rebind(workload.numpy, np=importlib.import_module("jax.numpy"))
        compiled: Callable[..., Any] = self.library.jit(fn)
        return compiled

    def place(self, value: Any) -> Any:
        return self.arrays(value, self.library.device_put)

    def wait(self, result: Any) -> None:
        self.library.block_until_ready(result)


class Torch(System):
    """Eager PyTorch."""

    name, module, package = "torch", "torch", "torch"

    def load(self) -> None:
        super().load()
        self.library.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
        self.library.set_grad_enabled(False)

    def build(self, workload: Workload) -> Callable[..., Any]:
        own = workload.peers.get("torch")
        return own() if own else rebind(workload.numpy, np=TorchNames(self.library))

    def place(self, value: Any) -> Any:
        return self.arrays(value, self.library.from_numpy)

    def fetch(self, result: Any) -> Any:
        return tree_map(lambda leaf: leaf.numpy() if hasattr(leaf, "numpy") else leaf, result)


class TorchCompile(Torch):
    name = "torch.compile"

    def build(self, workload: Workload) -> Callable[..., Any]:
        fn = workload.peers["torch.compile"]() if "torch.compile" in workload.peers else super().build(workload)
        compiled: Callable[..., Any] = self.library.compile(fn, dynamic=None if workload.many_sizes else False)
        return compiled


class TorchNames:
    """NumPy's names in PyTorch, where they differ."""

    def __init__(self, torch: Any) -> None:
        self.torch = torch

    def __getattr__(self, name: str) -> Any:
        renamed = {"max": "amax", "min": "amin", "float32": "float32"}.get(name, name)
        return getattr(self.torch, renamed, None) or getattr(np, name)


class Drjit(System):
    """Dr.Jit's LLVM backend, frozen."""

    name, module, package = "drjit", "drjit", "drjit"
    waits = True

    def load(self) -> None:
        if "DRJIT_LIBLLVM_PATH" not in os.environ and (path := find_shared_llvm()):
            os.environ["DRJIT_LIBLLVM_PATH"] = path
        super().load()
        self.llvm = importlib.import_module("drjit.llvm")
        self.library.set_thread_count(int(os.environ["OMP_NUM_THREADS"]))

    def build(self, workload: Workload) -> Callable[..., Any]:
        own = workload.peers.get(self.name)
        fn = own() if own else rebind(workload.numpy, np=DrjitNames(self.library))
        frozen: Callable[..., Any] = self.library.freeze(fn)
        return frozen

    def place(self, value: Any) -> Any:
        kinds = {"float32": "Float32", "float64": "Float64", "int32": "Int32", "int64": "Int64"}
        tensors = {"float32": "TensorXf", "float64": "TensorXf64", "int32": "TensorXi", "int64": "TensorXi64"}
        return self.arrays(value, lambda a: getattr(self.llvm, (kinds if a.ndim == 1 else tensors)[a.dtype.name])(a))

    def wait(self, result: Any) -> None:
        self.library.eval(result)
        self.library.sync_thread()

    def fetch(self, result: Any) -> Any:
        return tree_map(lambda leaf: leaf.numpy() if hasattr(leaf, "numpy") else leaf, result)


class DrjitNames:
    """NumPy's names in Dr.Jit, where they differ."""

    def __init__(self, drjit: Any) -> None:
        self.drjit = drjit

    def __getattr__(self, name: str) -> Any:
        return getattr(self.drjit, {"where": "select"}.get(name, name))


def find_shared_llvm() -> str | None:
    """libLLVM of the karellen-llvm-core wheel, if it is installed."""
    try:
        files = importlib.metadata.files("karellen-llvm-core") or []
    except importlib.metadata.PackageNotFoundError:
        return None
    paths = [str(f.locate()) for f in files if f.name.startswith("libLLVM") and ".so" in f.name]
    return os.path.realpath(paths[0]) if paths else None


class Numexpr(System):
    """Only for workloads that give an expression."""

    name, module, package = "numexpr", "numexpr", "numexpr"

    def build(self, workload: Workload) -> Callable[..., Any]:
        return workload.peers[self.name]()


class Tensorflow(System):
    """TensorFlow through XLA."""

    name, module, package = "tensorflow", "tensorflow", "tensorflow-cpu"
    environment = {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
    waits = False    # on the CPU a tf.function returns when it is done

    def load(self) -> None:
        super().load()
        threads = int(os.environ["OMP_NUM_THREADS"])
        self.library.config.threading.set_intra_op_parallelism_threads(threads)
        self.library.experimental.numpy.experimental_enable_numpy_behavior(dtype_conversion_mode="all")

    def version(self) -> str:
        return str(self.library.__version__)

    def build(self, workload: Workload) -> Callable[..., Any]:
        own = workload.peers.get(self.name)
        fn = own() if own else rebind(workload.numpy, np=self.library.experimental.numpy)
        compiled: Callable[..., Any] = self.library.function(fn, jit_compile=True, autograph=False)
        return compiled

    def place(self, value: Any) -> Any:
        return self.arrays(value, self.library.constant)

    def fetch(self, result: Any) -> Any:
        return tree_map(lambda leaf: leaf.numpy() if hasattr(leaf, "numpy") else leaf, result)


SYSTEMS: dict[str, type[System]] = {
    cls.name: cls for cls in (System, Tracejit, Numba, Jax, Torch, TorchCompile, Drjit, Numexpr, Tensorflow)
}

# Systems that run the NumPy text only where a workload says how.
NEEDS_OWN_VERSION = frozenset({"numexpr"})


def installed() -> list[str]:
    """The systems that this Python can import."""
    return [name for name, cls in SYSTEMS.items() if importlib.util.find_spec(cls.module) is not None]


def runs(system: str, workload: Workload) -> bool:
    """Whether `system` has a version of the workload."""
    return system not in workload.skip and (system not in NEEDS_OWN_VERSION or system in workload.peers)


def add_path(folder: Path) -> None:
    """Makes modules of the folder importable, here and in workers."""
    sys.path.insert(0, str(folder))
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH", "")]))


def environment(system: str, threads: int, heap_kept: bool) -> dict[str, str]:
    """The environment of a worker: threads, quiet logs, and whether freed pages stay in the process."""
    count = str(threads)
    names = ("OMP", "NUMBA", "MKL", "OPENBLAS", "TRACEJIT", "NUMEXPR")
    values = {**os.environ, **{f"{name}_NUM_THREADS": count for name in names}, "PYTHONUNBUFFERED": "1"}
    values.update(SYSTEMS[system].environment)
    package = str(Path(__file__).resolve().parents[3])
    values["PYTHONPATH"] = os.pathsep.join(filter(None, [package, values.get("PYTHONPATH", "")]))
    if heap_kept:
        values.update(MALLOC_MMAP_MAX_="0", MALLOC_TRIM_THRESHOLD_=str(1 << 40), MALLOC_TOP_PAD_=str(1 << 26))
    return values
