"""Give another node of the cluster the weights of this one: the command that its SSH key is held to.

The other side asks by SSH_ORIGINAL_COMMAND, `OFFSET PATH`: the file's bytes from there on go to standard output. Nothing
outside of the folder given as the only argument is read, whatever is asked.
"""

import os
import shutil
import sys


def opened(folder, command):
    """Return the file that is asked for, at its offset; ValueError for what is not ours to give."""
    offset, _, path = command.partition(" ")
    root = os.path.realpath(folder)
    found = os.path.realpath(os.path.join(root, path))
    if not offset.isdigit() or not found.startswith(root + os.sep) or not os.path.isfile(found):
        raise ValueError(path)
    file = open(found, "rb")  # noqa: SIM115 - the caller reads it
    file.seek(int(offset))
    return file


def main():
    """Run as a forced command of sshd."""
    try:
        file = opened(sys.argv[1], os.environ.get("SSH_ORIGINAL_COMMAND", ""))
    except (ValueError, OSError):
        sys.stderr.write("no such file of weights\n")
        sys.exit(4)
    with file:
        try:
            shutil.copyfileobj(file, sys.stdout.buffer, 1 << 20)
            sys.stdout.buffer.flush()
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    main()
