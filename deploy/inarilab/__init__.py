"""The lab: a parent, its children and the world around them in network namespaces of one machine.

deploy/lab is the command; its contract (verbs, lab.json, DIR/env) is described in inari-lab(8) and is stable.
Only Python's standard library is used.
"""
