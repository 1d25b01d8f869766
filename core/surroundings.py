"""What libraries take from the process around them, settled before they look."""

import os
import pwd
import tempfile
from pathlib import Path


def settle() -> None:
    """Gives the process what libraries need when they are imported; what is there stays.

    HDF5 locks no files: it stops where the file system has no locks (its BEST_EFFORT knows ENOSYS alone,
    not ENOLCK), and two processes do not run one stage anyway (`triggerforge.locks`). A user without an
    entry in the password file (a container's) has no name, and often no home: torch, Keras and
    matplotlib ask for both.
    """
    os.environ.setdefault("HDF5_USE_FILE_LOCKING", "FALSE")
    try:
        pwd.getpwuid(os.getuid())
    except KeyError:
        os.environ.setdefault("LOGNAME", f"uid{os.getuid()}")
    home = os.environ.get("HOME") or os.path.expanduser("~")
    if not os.path.isdir(home) or (home == "/" and not os.access(home, os.W_OK)):
        os.environ["HOME"] = str(private_home())


def private_home() -> Path:
    """A folder among the temporary ones that nobody else can write to."""
    home = Path(tempfile.gettempdir()) / f"triggerforge-home-{os.getuid()}"
    home.mkdir(mode=0o700, exist_ok=True)
    status = home.lstat()
    if status.st_uid != os.getuid() or home.is_symlink() or status.st_mode & 0o022:
        return Path(tempfile.mkdtemp(prefix="triggerforge-home-"))
    return home
