"""The engines' key, which lies on their hosts, and the salt without which a digest of a secret could be guessed at."""

import base64
import binascii
import hashlib
import hmac
import os
import re

NAME = "VLLM_API_KEY"
OURS = "engine-"
"""How a key begins that was made on a host: known to its engines and to the gateway before them."""


def env_file(root):
    """Return the file that the engines read their key from."""
    return os.path.join(root, "secrets", "engine.env")


def engine_key(root):
    """Return the key that the engines of this host ask for; empty text if they ask for none."""
    try:
        with open(env_file(root), encoding="utf-8") as file:
            text = file.read()
    except OSError:
        return ""
    found = re.search(r'^{0}="((?:[^"\\]|\\.)*)"$'.format(NAME), text, re.MULTILINE)
    return re.sub(r"\\(.)", r"\1", found.group(1)) if found else ""


def env_text(key):
    """Return the file of a key, quoted so that a shell and systemd read the same; empty text without one."""
    return '{0}="{1}"\n'.format(NAME, re.sub(r'(["\\`$])', r"\\\1", key)) if key else ""


def new_key():
    """Return a key that nobody can guess."""
    return OURS + base64.urlsafe_b64encode(os.urandom(32)).decode().rstrip("=")


def salt_of(root, create=False):
    """Return this host's salt; None if it has none yet and none shall be made."""
    path = os.path.join(root, "salt")
    try:
        with open(path, encoding="ascii") as file:
            return base64.b64decode(file.read(), validate=True) or None
    except (OSError, ValueError, binascii.Error):
        pass
    if not create:
        return None
    salt = os.urandom(32)
    with os.fdopen(os.open(path + ".new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(base64.b64encode(salt).decode())
    os.replace(path + ".new", path)
    return salt


def salted(salt, text):
    """Return a digest of a text with a secret in it; empty text without a salt, as nothing was ever kept so."""
    return hmac.new(salt, text.encode(), hashlib.sha256).hexdigest() if salt and text else ""
