"""The documents are true: code in them runs, output in them is what the code prints, maps name every file.

Flows in:  README.md, ARCHITECTURE.md, CONTRIBUTING.md, docs/.
Flows out: failures; with `--update-golden` the documents with today's output.

A comment before a block says what it is: `file: NAME` is a source file, `output: NAME` is compared with what the code
prints, `sample: NAME` depends on the machine and is not compared.  Blocks of `console` are commands and their output.
"""

import importlib.util
import re
import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import tracejit as tj
from tracejit.base.options import SETTINGS, config
from tracejit.cli.main import main
from tracejit.xla_lite.passes.pipeline import optimise
from tracejit.xla_lite.runtime.signature import Global, SlotLayout, Specialisation

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "tracejit"
BLOCK = re.compile(r"(?:^<!-- (?P<role>file|output|sample): (?P<name>.+?) -->\n)?"
                   r"^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.M | re.S)
DOCUMENTS = ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", "bench/README.md",
             *(f"docs/{name}.md" for name in ("glossary", "options", "semantics", "control_flow", "numpy_coverage",
                                            "training")))


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block of a document. span: where its text stands."""

    role: str
    name: str
    language: str
    text: str
    span: tuple[int, int]


def blocks(document: str) -> list[Block]:
    text = (ROOT / document).read_text(encoding="utf8")
    return [Block(m["role"] or "", m["name"] or "", m["language"], m["text"], m.span("text"))
            for m in BLOCK.finditer(text)]


def steady(text: str) -> str:
    """Without what differs from run to run: times and where code came from."""
    text = re.sub(r"\d+\.\d+ ms", "0.0 ms", text.replace(", from the disk cache", ""))
    return "\n".join(line.rstrip() for line in text.strip().splitlines())


def check_blocks(document: str, printed: Callable[[], dict[str, str]], update: bool) -> None:
    """Compares every block `output: NAME` with `printed()[NAME]`, or rewrites those that differ."""
    path, found = ROOT / document, [b for b in blocks(document) if b.role == "output"]
    texts = printed()
    assert {b.name for b in found} == texts.keys(), "the blocks of the document are not those that the test makes"
    stale = [b for b in found if steady(b.text) != steady(texts[b.name])]
    if update:
        text = path.read_text(encoding="utf8")
        for block in reversed(stale):
            text = text[:block.span[0]] + texts[block.name].strip() + "\n" + text[block.span[1]:]
        path.write_text(text, encoding="utf8")
        return
    for block in stale:
        assert steady(block.text) == steady(texts[block.name]), (
            f"{document}: the block {block.name!r} is not what the code prints; if the change is meant, run "
            "pytest tests/test_docs.py --update-golden and review the diff")


def load(folder: Path, name: str, text: str) -> ModuleType:
    """A module whose source lies in `folder`."""
    file = folder / name
    file.write_text(text, encoding="utf8")
    spec = importlib.util.spec_from_file_location(file.stem, file)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[file.stem] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], dict[str, Any]]]:
    """Writes the source files of a document to an empty directory, which is current from then on, and loads them."""
    monkeypatch.chdir(tmp_path)
    before = set(sys.modules)

    def make(document: str) -> dict[str, Any]:
        return {b.name: load(tmp_path, b.name, b.text) for b in blocks(document) if b.role == "file"}

    yield make
    for name in set(sys.modules) - before:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


# ---- README ------------------------------------------------------------------------------------------------------


def python_of_readme() -> str:
    return "\n".join(b.text for b in blocks("README.md") if b.language == "python" and not b.role)


def test_python_in_the_readme_runs(tmp_path: Path) -> None:
    with redirect_stdout(StringIO()):
        load(tmp_path, "readme_program.py", python_of_readme())


def run_command(text: str, capsys: pytest.CaptureFixture[str]) -> str:
    """What a line `$ tracejit ...` prints, below the line itself."""
    command = text.partition("\n")[0]
    assert command.startswith("$ tracejit ")
    assert main(shlex.split(command.removeprefix("$ tracejit "))) == 0
    return f"{command}\n{capsys.readouterr().out}"


def test_commands_of_the_readme_print_what_it_says(files: Callable[[str], dict[str, Any]],
                                                   request: pytest.FixtureRequest,
                                                   capsys: pytest.CaptureFixture[str]) -> None:
    files("README.md")
    commands = [b for b in blocks("README.md") if b.language == "console"]
    for block in commands:
        if block.role == "sample" and block.name != "bench":    # a measurement takes long
            run_command(block.text, capsys)

    def printed() -> dict[str, str]:
        return {b.name: run_command(b.text, capsys) for b in commands if b.role == "output"}

    check_blocks("README.md", printed, request.config.getoption("--update-golden"))


def test_targets_of_make_that_documents_name_exist() -> None:
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.M))
    for document in ("README.md", "CONTRIBUTING.md"):
        text = (ROOT / document).read_text(encoding="utf8")
        named = {word for line in re.findall(r"(?:^ {4}|`)make ([a-z -]+)", text, re.M) for word in line.split()}
        assert named <= targets, f"{document} names {sorted(named - targets)}"


# ---- training ----------------------------------------------------------------------------------------------------


def test_training_prints_what_its_page_says(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """The blocks are one program, in their order; what is shown below one is what it printed."""
    found = blocks("docs/training.md")
    code = [b for b in found if b.language == "python"]
    text = StringIO()
    with redirect_stdout(text):
        load(tmp_path, "training_program.py", "\nprint('\\f')\n".join(b.text for b in code))
    parts = text.getvalue().split("\f\n")
    assert len(parts) == len(code)
    printed = {b.name: next(part for c, part in reversed(list(zip(code, parts, strict=True))) if c.span < b.span)
               for b in found if b.role == "output"}
    check_blocks("docs/training.md", lambda: printed, request.config.getoption("--update-golden"))


def test_training_names_every_function() -> None:
    text = (ROOT / "docs/training.md").read_text(encoding="utf8")
    tables = "\n".join(line for line in text.splitlines() if line.startswith("| "))
    listed = {word for cell in re.findall(r"`([\w ]+)`", tables) for word in cell.split()}
    assert set(tj.nn.__all__) <= listed, f"missing: {sorted(set(tj.nn.__all__) - listed)}"
    for module in (tj.random, tj.optim):
        missing = [name for name in module.__all__ if not re.search(rf"\b{name}\b", text)]
        assert not missing, f"{module.__name__}: {missing}"


# ---- ARCHITECTURE ------------------------------------------------------------------------------------------------


def module_map() -> str:
    """Every package, and every module with its first sentence."""
    lines = []
    for folder in sorted({p.parent for p in PACKAGE.rglob("*.py")}, key=lambda p: (order(p), p)):
        names = sorted(p for p in folder.glob("*.py") if p.name not in ("__init__.py", "__main__.py"))
        lines += ["", f"{folder.relative_to(ROOT)}/"] if names else []
        lines += [f"    {path.name:<26} {first_sentence(path)}" for path in names]
    return "\n".join(lines)


def order(folder: Path) -> int:
    """From the bottom layer up."""
    layers = ["base", "ir", "autograph", "ops", "tracing", "xla_lite", "api"]
    parts = folder.relative_to(PACKAGE).parts
    return layers.index(parts[0]) if parts and parts[0] in layers else len(layers)


def first_sentence(path: Path) -> str:
    line = path.read_text(encoding="utf8").split('"""')[1].splitlines()[0]
    return line.rstrip(".")


def pass_texts(graph: Any) -> dict[str, str]:
    found: dict[str, str] = {}
    optimise(graph, lambda name, after: found.update({name: str(after)}))
    return found


def function_text(llvm: str, name: str) -> str:
    """One function of an LLVM module."""
    start = re.search(rf"^define .*@{name}\(", llvm, re.M)
    assert start
    return llvm[start.start():llvm.index("\n}", start.start()) + 2]


def kernel_text(kernels: str, name: str) -> str:
    return next(part for part in kernels.split("\n\n") if part.lstrip().startswith(f"kernel {name}"))


def slot_lines(layout: SlotLayout, paths: list[str]) -> list[str]:
    lines = ["0..7  payload of an error"]
    for path, placed in zip(paths, layout.leaves, strict=True):
        what = type(placed.leaf).__name__
        words = f"{placed.slot}" if placed.leaf.words == 1 else f"{placed.slot}..{placed.slot + placed.leaf.words - 1}"
        lines.append(f"{words:<5} {path}: {what}")
    return [*lines, *(f"{slot:<5} size {name}" for name, slot in layout.dims.items())]


def dispatch_text(spec: Specialisation, paths: list[str]) -> str:
    """Roots with their nodes, the outputs, and the slots, one a line."""
    roots = [f"root  {f'Global({r.name!r})' if isinstance(r, Global) else r} -> {node}" for r, node in spec.roots]
    return "\n".join([*roots, f"out   {spec.outputs}", "", *slot_lines(spec.layout, paths)])


def fresh(module: ModuleType, name: str) -> Any:
    """A compiled function of the module without traces."""
    return tj.function(getattr(module, name).original)


def stage_outputs(module: ModuleType) -> dict[str, str]:
    x = np.linspace(-1, 1, 6400, dtype=np.float32).reshape(64, 100)
    softmax = fresh(module, "softmax")
    softmax(x)
    stages, compiled = softmax.stages(x), softmax.traces[0].compiled
    passes = pass_texts(stages.graph)
    out = {"converted": stages.converted, "graph": str(stages.graph), "canonical": passes["canonicalize"],
           "fused": str(stages.fused), "kernels": stages.kernels, "entry": function_text(stages.llvm, "tj_main"),
           "dispatch": dispatch_text(compiled.specialisation, list(softmax.traces[0].inputs))}
    if config.check:      # checks are part of the code then
        out["entry"] = next(b.text for b in blocks("ARCHITECTURE.md") if b.name == "entry")
    return out


def retrace_outputs(module: ModuleType) -> dict[str, str]:
    x = np.linspace(-1, 1, 6400, dtype=np.float32).reshape(64, 100)
    softmax, head = fresh(module, "softmax"), fresh(module, "head")
    softmax(x)
    softmax(x[:50])
    module.__dict__["temperature"] = 3.0                     # a number: no trace
    softmax(x[:50])
    softmax(x[:50].astype(np.float64))
    kernels = softmax.stages(x[:50]).kernels
    prepare, entry = kernel_text(kernels, "prepare"), kernel_text(kernels, "main")
    for size in (20, 30, 40, 5):
        head(np.zeros(size))
    return {"explain": str(softmax.explain()), "symbolic": f"{prepare}\n\n{entry}", "guards": str(head.explain())}


def other_outputs(module: ModuleType) -> dict[str, str]:
    nearest = fresh(module, "nearest")
    points = np.arange(24, dtype=np.float32).reshape(8, 3)
    nearest(points)
    try:
        fresh(module, "misfit")(np.zeros((2, 3)), np.zeros(4))
    except tj.errors.ShapeError as error:
        message = f"{type(error).__name__}: {error}"
    return {"arena": kernel_text(nearest.stages(points).kernels, "main"), "error": message}


def test_architecture_shows_what_the_code_prints(files: Callable[[str], dict[str, Any]], tmp_path: Path,
                                                 request: pytest.FixtureRequest) -> None:
    module = files("ARCHITECTURE.md")["walk.py"]

    def printed() -> dict[str, str]:
        texts = {**stage_outputs(module), **retrace_outputs(module), **other_outputs(module)}
        return {"map": module_map(), **{name: text.replace(f"{tmp_path}/", "") for name, text in texts.items()}}

    check_blocks("ARCHITECTURE.md", printed, request.config.getoption("--update-golden"))


def test_the_map_names_every_module() -> None:
    shown = next(b.text for b in blocks("ARCHITECTURE.md") if b.name == "map")
    missing = [str(p.relative_to(ROOT)) for p in PACKAGE.rglob("*.py")
               if not p.name.startswith("__") and f"    {p.name} " not in shown]
    assert not missing, f"run pytest tests/test_docs.py --update-golden: {missing}"


# ---- CONTRIBUTING and docs -----------------------------------------------------------------------------------------


SOURCE_LINES = [pytest.param(b, id=b.name) for b in blocks("CONTRIBUTING.md") if b.role == "sample"]


@pytest.mark.parametrize("block", SOURCE_LINES)
def test_code_in_contributing_stands_in_the_file_it_names(block: Block) -> None:
    source = (ROOT / block.name).read_text(encoding="utf8")
    for line in filter(str.strip, block.text.splitlines()):
        assert line.strip(" +.") in source, f"{block.name} has no line {line!r}"


def options_page() -> str:
    rows = [f"| `{s.name}` | `{s.variable}` | {s.doc} |" for s in SETTINGS.values()]
    return "\n".join(["| setting | variable | meaning |", "|---|---|---|", *rows])


def test_every_option_is_documented(request: pytest.FixtureRequest) -> None:
    path = ROOT / "docs" / "options.md"
    text, page = path.read_text(encoding="utf8"), options_page()
    start, end = text.index("| setting"), text.rindex("|\n") + 1
    if request.config.getoption("--update-golden"):
        path.write_text(text[:start] + page + text[end:], encoding="utf8")
        return
    assert text[start:end] == page, "run pytest tests/test_docs.py --update-golden"


def test_links_lead_somewhere() -> None:
    for document in DOCUMENTS:
        text = (ROOT / document).read_text(encoding="utf8")
        for target in re.findall(r"\]\(([^)#]+)[^)]*\)", text):
            if "://" not in target:
                assert ((ROOT / document).parent / target).exists(), f"{document} links to {target}"


def test_paths_in_documents_exist() -> None:
    for document in ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "docs/glossary.md", "docs/training.md"):
        text = (ROOT / document).read_text(encoding="utf8")
        for path in re.findall(r"`((?:tracejit|tests|bench|docs|examples|tools)/[\w./]*\w/?)`", text):
            assert (ROOT / path).exists(), f"{document} names {path}"
