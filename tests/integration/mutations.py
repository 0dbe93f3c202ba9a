"""The 44 mutations of a Postfix configuration that were measured, as the helper's test build knows them (its table is the
only one), and what is expected of each when the staged copy is made wrong after it was rendered and compared."""
import os
import re

from helperlib import SOURCE


def table():
    """[(name, harmless)] of agent/targets/mutate.c."""
    with open(os.path.join(SOURCE, "agent/targets/mutate.c")) as f:
        return [(n, h == "true") for n, h in re.findall(r'\{\{"([a-z-]+)", (true|false)\}', f.read())]


ALL = table()
HARMFUL = [n for n, harmless in ALL if not harmless]
HARMLESS = [n for n, harmless in ALL if harmless]
