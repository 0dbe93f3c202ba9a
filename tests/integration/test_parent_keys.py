"""The parent's own keys: sealed by a file beside the database, the root key by a passphrase shown once."""
import os
import stat

import pytest
import wireclient
from cryptography.hazmat.primitives import serialization
from parentlib import wait_until
from test_agent_api_poll import make_device


def test_keys_survive_and_need_their_file(new_parent):
    parent = new_parent()
    d = make_device(parent.token(), parent)
    d.fetch()
    key, aside = (os.path.join(parent.state, n) for n in ("parent.key", "aside"))
    assert stat.S_IMODE(os.stat(key).st_mode) == 0o600 and os.path.getsize(key) == 32
    parent.restart()
    assert d.desired().status_code == 304, "tokens and bundles outlive a restart"
    parent.stop()
    os.rename(key, aside)
    parent.start(wait=False)
    wait_until(lambda: "copy it from the first parent" in parent.log(), "the remedy in the log", 20)
    assert not parent.ready() and not os.path.exists(key), "no new key is made over a fleet's"
    parent.end()
    with open(key, "wb") as f:
        f.write(os.urandom(32))
    os.chmod(key, 0o600)
    st = os.stat(aside)
    os.chown(key, st.st_uid, st.st_gid)
    parent.start(wait=False)
    wait_until(lambda: "does not open with this parent's key file" in parent.log(), "another key to be refused", 20)
    parent.end()
    os.rename(aside, key)
    parent.start()
    assert d.desired().status_code == 304


@pytest.mark.slow
def test_root_key_opens_with_the_passphrase_shown_once(new_parent):
    parent = new_parent()
    first = os.path.join(parent.state, "first-login.txt")
    with open(first) as f:
        passphrase = f.read().rpartition("passphrase of root.key.pem: ")[2].strip()
    with open(os.path.join(parent.state, "root.key.pem"), "rb") as f:
        pem = f.read()
    with pytest.raises((TypeError, ValueError)):
        serialization.load_pem_private_key(pem, None)
    with pytest.raises(ValueError):
        serialization.load_pem_private_key(pem, b"wrong")
    public = serialization.load_pem_private_key(pem, passphrase.encode()).public_key().public_numbers()
    d = make_device(parent.token(), parent)
    assert d.trust["root"]["x"] == wireclient.b64u(public.x.to_bytes(32, "big"))
    _, again = wireclient.open_jws(d.call("GET", "/api/agent/v1/trust/1").content, "inari-trust+jws", [d.trust["root"]])
    assert again == d.trust and d.call("GET", "/api/agent/v1/trust/2").status_code == 404
    assert passphrase not in parent.log() and len(passphrase) > 30
