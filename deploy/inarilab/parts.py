"""The parts of a host that can be killed and started by name."""
from . import postfix, world
from .util import LabError

PARTS = {"agent": "inari-agent", "helper": "inari-helper", "postfix": "postfix", "inarid": "inarid",
         "postgres": "postgres", "dns": "dnsd", "sink": "sink"}


def program(part):
    if part not in PARTS:
        raise LabError(f"{part}: must be one of {', '.join(PARTS)}")
    return PARTS[part]


def start(lab, name, part=""):
    """Start what is not running of NAME, or one part of it."""
    if part:
        program(part)
    host = lab.switch_on(name)
    if name in lab.children() and part in ("", "postfix"):
        postfix.start(host)
    elif name in ("dns", "inside"):
        world.start(lab)
