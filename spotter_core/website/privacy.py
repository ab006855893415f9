"""What must not be published: paths, user and host of the machine that ran or built the study."""

import getpass
import re
import socket
from pathlib import Path

# A path of the repository keeps the part from here on.
OURS = "runs|figures|notebooks|spotter_core|profiles|tests"
START = r"(?<![\w.~)}:/<-])"
"""A path begins here: not inside another one, an address or an end tag."""
NAME = r"[\w.@+~-]+"
INSIDE = re.compile(rf"{START}/(?:{NAME}/)+?(?=(?:{OURS})/)")
SYSTEM = "home|root|Users|private|opt|work|tmp|var|mnt|srv|usr|data|scratch|workspace|Volumes"
FOREIGN = re.compile(rf"{START}/(?:{SYSTEM})/(?:{NAME}/)*(?P<name>{NAME})?")
WINDOWS = re.compile(rf"\b[A-Za-z]:\\(?:{NAME}\\)+(?P<name>{NAME})?")


def scrub(text: str) -> str:
    """Return what a program printed without the folders of the machine it ran on.

    Examples:
        >>> scrub("see /srv/me/spotter/runs/digits/rows and /usr/lib/x.py")
        'see runs/digits/rows and …/x.py'
    """
    text = INSIDE.sub("", text)
    for pattern in (FOREIGN, WINDOWS):
        text = pattern.sub(lambda found: f"…/{found['name'] or ''}", text)
    return text


def leaks(text: str, root: Path) -> list[str]:
    """Return what of this machine a page contains.

    Args:
        text: Of the page.
        root: Folder of the repository.
    """
    words = {str(root), str(root.resolve()), str(Path.home())} - {"/", "/root"}
    found = {word for word in words if word in text}
    host, user = socket.gethostname(), user_name()
    # short or common names are ordinary words somewhere else
    for name in {host, host.partition(".")[0]}:
        if len(name) > 5 and re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", text):
            found.add(name)
    if user:
        me = re.escape(user)
        found |= set(re.findall(rf"\b{me}@[\w-]+|(?:home|Users)/{me}\b", text))
    found |= {match[0] for match in re.finditer(rf"{START}/(?:home|root|Users)/{NAME}", text)}
    return sorted(found)


def user_name() -> str:
    """Return who runs this, or nothing where the system doesn't know."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return ""
