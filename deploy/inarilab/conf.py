"""The configuration file of a parent that tests and the lab write: only what differs from the defaults."""


def inarid(listen, address, conninfo, state, extra=None):
    rows = {"api.listen": listen, "api.addresses": address, "db.conninfo": conninfo, "state": state, "lab": "yes"}
    rows.update(extra or {})
    return "".join(f"{key} = {value}\n" for key, value in rows.items())
