"""Nothing in the project's code evaluates, unpickles or runs what data hold, by its syntax trees."""

import ast
from pathlib import Path

import pytest
from conftest import ROOT

FOLDERS = ("scripts", "workflow_lib", "demo", "bench", "envs")
FORBIDDEN = {
    *("eval", "exec", "compile", "__import__", "os.system", "os.popen", "subprocess.getoutput"),
    *("subprocess.getstatusoutput", "asyncio.create_subprocess_shell", "pickle.load", "pickle.loads"),
    *("pickle.Unpickler", "marshal.load", "marshal.loads", "shelve.open", "dill.load", "dill.loads"),
    *("joblib.load", "torch.load", "cloudpickle.load", "cloudpickle.loads", "pd.read_pickle"),
    *("pandas.read_pickle", "yaml.load", "yaml.load_all", "yaml.unsafe_load", "yaml.full_load"),
    *("tempfile.mktemp", "shutil.unpack_archive"),
}
"""Calls by their dotted name as it is written, or as it was imported."""
SAFE_LOADERS = {"yaml.SafeLoader", "yaml.CSafeLoader", "getattr(yaml, 'CSafeLoader', yaml.SafeLoader)"}
"""What a Loader of yaml.load may be, there or where the module names it."""
FORBIDDEN_METHODS = {"extractall", "extract"}
"""Of archives: nothing is extracted to disk by the names that it holds."""
TRUE_ALONE = {"trust_remote_code", "shell", "allow_pickle"}
"""Keywords that only False may follow."""


def python_files() -> list[Path]:
    return sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))


def dotted(node: ast.expr) -> str:
    """A name with its attributes, such as `os.path.join`; of anything else what follows it."""
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def find_unsafe_calls(source: str) -> list[str]:
    """The forbidden calls and keywords of a module, each with its line."""
    tree = ast.parse(source)
    names = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            names |= {each.asname or each.name: f"{node.module}.{each.name}" for each in node.names}
        elif isinstance(node, ast.Import):
            names |= {each.asname: each.name for each in node.names if each.asname}
    assigned = [node for node in tree.body if isinstance(node, ast.Assign)]
    loaders = {ast.unparse(node.targets[0]) for node in assigned if ast.unparse(node.value) in SAFE_LOADERS}
    found = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        head, dot, rest = dotted(node.func).partition(".")
        name = f"{names.get(head, head)}{dot}{rest}"
        given = {word.arg: ast.unparse(word.value) for word in node.keywords}
        if name == "yaml.load" and given.get("Loader") in SAFE_LOADERS | loaders:
            continue
        if name in FORBIDDEN or name.removeprefix("builtins.") in FORBIDDEN:
            found.append(f"{node.lineno}: {name}")
        elif isinstance(node.func, ast.Attribute) and node.func.attr in FORBIDDEN_METHODS:
            found.append(f"{node.lineno}: {node.func.attr}")
        for word in node.keywords:
            safe = isinstance(word.value, ast.Constant) and word.value.value is False
            if word.arg in TRUE_ALONE and not safe:
                found.append(f"{node.lineno}: {word.arg}")
    return found


def test_no_module_evaluates_unpickles_or_extracts_what_data_hold() -> None:
    files = python_files()
    assert len(files) > 100
    found = {path.relative_to(ROOT).as_posix(): find_unsafe_calls(path.read_text("utf-8")) for path in files}
    assert {path: calls for path, calls in found.items() if calls} == {}


@pytest.mark.parametrize(
    "source",
    [
        "eval(text)",
        "builtins.exec(text)",
        "import pickle as p\np.loads(data)",
        "from pickle import loads as read\nread(data)",
        "import yaml\nyaml.load(text, Loader=yaml.Loader)",
        "import yaml\nLoader = yaml.Loader\nyaml.load(text, Loader=Loader)",
        "subprocess.run(command, shell=True)",
        "subprocess.run(command, shell=given)",
        "load_dataset(name, trust_remote_code=True)",
        "np.load(path, allow_pickle=True)",
        "tarfile.open(path).extractall(folder)",
        "os.system(f'ls {name}')",
    ],
)
def test_an_unsafe_call_is_found(source: str) -> None:
    assert len(find_unsafe_calls(source)) == 1


def test_a_safe_call_is_none() -> None:
    safe = "re.compile(x)\nmodel.eval()\nyaml.safe_load(x)\njson.loads(x)\nrun(x, shell=False)"
    safe += "\nast.literal_eval(x)\nL = yaml.SafeLoader\nyaml.load(x, Loader=L)"
    assert find_unsafe_calls(safe) == []
