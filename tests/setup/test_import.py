import pkgutil
import subprocess
import sys
from importlib import import_module

import pytest

from torchrec_ext import plugin_names, plugins
from torchrec_ext.contracts import GROUPS

TORCH_ALONE = (
    "contracts", "errors", "checks", "schema", "batch", "plugins", "plugin_names", "lazy_exports",
    "mlp", "plain_jagged", "interactions", "encoders", "target_attention", "scorers", "heads", "losses",
)  # fmt: skip

BLOCKER = """
import sys
class Blocker:
    names = {"torchrec", "fbgemm_gpu", "tensordict", "torchmetrics", "pandas", "pyarrow", "matplotlib"}
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in self.names:
            raise ModuleNotFoundError(f"No module named {name!r} (blocked)", name=name)
sys.meta_path.insert(0, Blocker())
"""

IMPORT_WHOLE = """
import importlib, pkgutil
def whole(name):
    module = importlib.import_module(name)
    for found in pkgutil.walk_packages(getattr(module, "__path__", []), name + "."):
        importlib.import_module(found.name)
    for public in dir(module):
        getattr(module, public)
"""


def python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_package_is_lazy():
    code = """
import sys
before = set(sys.modules)
import torchrec_ext
new = {name.split(".")[0] for name in set(sys.modules) - before}
print(sorted(new & {"torch", "torchrec", "pandas", "numpy"}))
"""
    assert python(code) == "[]"


def test_parts_are_reached_through_the_package():
    assert python("import torchrec_ext as tx; print(tx.errors.InputError.__name__)") == "InputError"


def test_unknown_part_is_an_attribute_error():
    import torchrec_ext

    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        torchrec_ext.nonsense  # noqa: B018


def test_dir_is_complete_and_imports_nothing():
    code = """
import sys
import torchrec_ext as tx
print({"data", "training", "encoders", "__version__"} <= {*dir(tx)}, "torch" in sys.modules)
print({"GRU", "ModuleEncoder"} <= {*dir(tx.encoders)}, "torch" in sys.modules)
tx.encoders.GRU
print("torchrec_ext.encoders.gru" in sys.modules, "torchrec_ext.encoders.bert4rec" in sys.modules)
"""
    assert python(code) == "True False\nTrue False\nTrue False"


def test_every_part_of_the_package_is_an_attribute_of_it():
    import torchrec_ext

    private = {
        "checks",
        "command_line",
        "compatibility",
        "dropout",
        "dynamic_length",
        "float_weights",
        "import_class",
        "lazy_exports",
        "mlp",
        "padding",
        "plain_jagged",
        "plugin_names",
    }
    parts = {module.name for module in pkgutil.iter_modules(torchrec_ext.__path__)}
    assert parts - private - {"__main__"} == {*torchrec_ext.__all__}


@pytest.mark.parametrize("group", GROUPS)
def test_every_plug_in_is_exported_from_its_folder(group):
    folder = import_module(f"torchrec_ext.{group}")
    for name in plugin_names.built_in(group):
        found = plugins.find(group, name)
        line = f"from {found.__module__} import {found.__name__} as {found.__name__}"
        assert found.__name__ in dir(folder), f"add to {group}/__init__.pyi: {line}"
        assert getattr(folder, found.__name__) is found


def test_an_export_with_the_name_of_its_module_stays_the_export():
    """Importing the module puts it in the place of the function, which the package keeps."""
    code = """
import torchrec_ext as tx
from torchrec_ext.training.fit import fit
import torchrec_ext.training.load
print(tx.training.fit is fit, callable(tx.training.load), callable(tx.training.fit))
"""
    assert python(code) == "True True True"


def test_floors_without_torchrec_import_with_torch_alone():
    """In one process, since torch itself takes seconds to import."""
    modules = [f"torchrec_ext.{part}" for part in TORCH_ALONE]
    print_blocked = "print(sorted(n for n in sys.modules if n.split('.')[0] in Blocker.names))"
    assert python(f"{BLOCKER}{IMPORT_WHOLE}\nfor name in {modules}: whole(name)\n{print_blocked}") == "[]"


def test_blocker_blocks():
    code = f"{BLOCKER}\ntry:\n    import pandas\nexcept ModuleNotFoundError as error:\n    print(error)"
    assert python(code) == "No module named 'pandas' (blocked)"
