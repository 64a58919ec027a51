"""TensorBoard's own server, started in this process."""

from __future__ import annotations

import io
from contextlib import redirect_stderr
from pathlib import Path

from maskbench.errors import ResourceError
from maskbench.tensorboard.means import FOLDER

BANDS = f"#custom_scalars&regexInput={FOLDER}&_smoothingWeight=0"
"""The page of bands over seeds with the arms' means chosen and nothing smoothed.

With more than 40 runs TensorBoard chooses none by itself; it counts those that the filter lets through.
"""


def serve(directory: Path, host: str | None = None, port: int | None = None) -> str:
    """Start a server in a thread that ends with this process, and return its address.

    Args:
        directory: whose event files are shown, those of its subdirectories included.
        host: None: only this machine.
        port: None: 6006, or the next that is free; 0: any that is free.

    Raises:
        ResourceError: the port is taken or the host is none of this machine's.
    """
    from tensorboard import program

    server = program.TensorBoard()
    server.configure(argv=("maskbench",), logdir=str(directory), host=host, port=port)
    try:
        # It speaks of options that this program does not have.
        with redirect_stderr(io.StringIO()):
            return str(server.launch())
    except program.TensorBoardServerException as error:
        raise ResourceError(f"{error.msg}; choose another --port or --host") from error
    except OSError as error:
        raise ResourceError(f"TensorBoard cannot listen on {host or 'localhost'}: {error}") from error
