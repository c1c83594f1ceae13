"""The walls of the house: who may import whom, and what stays free of TensorFlow."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MAY_IMPORT = {
    "base": {"base"},
    "pipelines": {"pipelines", "base"},
    "models": {"models", "base"},
    "tuning": {"tuning", "base"},
    "scripts": {"scripts", "tuning", "models", "pipelines", "base"},
}
COMMANDS = sorted(
    path.stem for path in (ROOT / "scripts").glob("*.py") if "__main__" in path.read_text(encoding="utf-8")
)


def test_imports_run_one_way():
    wrong = []
    for room, allowed in MAY_IMPORT.items():
        for path in sorted((ROOT / room).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                names += [node.module] if isinstance(node, ast.ImportFrom) else []
                wrong += [
                    f"{path.relative_to(ROOT)}: {n}" for n in names if n.split(".")[0] in set(MAY_IMPORT) - allowed
                ]
    assert wrong == []


def test_the_commands_are_these():
    assert COMMANDS == [
        "build_tfrecords",
        "data_service",
        "doctor",
        "evaluate",
        "export",
        "predict",
        "preview",
        "summary",
        "train",
        "tune",
    ]
    assert all(os.access(ROOT / f"scripts/{command}.py", os.X_OK) for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_answers_without_importing_tensorflow(command):
    code = (
        f"import sys; from scripts import {command}; code = {command}.main(['--help']); "
        "heavy = {'tensorflow', 'keras', 'sklearn', 'keras_tuner', 'matplotlib'} & set(sys.modules); "
        "sys.exit(f'imported {heavy}' if heavy else code)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert result.returncode == 0, result.stderr
    assert "--config" in result.stdout
