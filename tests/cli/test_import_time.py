"""What the command line imports before it knows which command is meant."""

from __future__ import annotations

import subprocess
import sys


def test_the_list_of_commands_loads_nothing_heavy():
    code = (
        "import sys, maskbench.cli.main\n"
        "print(sorted({'torch', 'numpy', 'scipy', 'pydantic', 'yaml', 'rich.table', 'matplotlib'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
