"""The parent's TLS key: the pinned spare takes its place, and no child is visited (D16); an
expired certificate of a pinned key is said aloud and goes on (D15); a key nobody pinned is neither shown nor spoken to."""
import datetime
import os
import signal
import subprocess

import pytest
from agentlib import new_agent, pin_of
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from parentlib import Session, wait_until

pytestmark = pytest.mark.slow


def shown(parent):
    """The pin of the key the parent shows now."""
    r = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{parent.port}", "-servername", "localhost"], input="",
                       capture_output=True, text=True, timeout=20)
    path = os.path.join(parent.dir, "shown.pem")
    with open(path, "w") as f:
        f.write(r.stdout[r.stdout.index("-----BEGIN"):r.stdout.index("-----END CERTIFICATE-----")] + "-----END CERTIFICATE-----\n")
    return pin_of(path)


def certificate(key, days):
    """PEM of a certificate for localhost that ends in so many days."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.utcnow()
    return (x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
            .serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(days=90))
            .not_valid_after(now + datetime.timedelta(days=days))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), False)
            .sign(key, hashes.SHA256())).public_bytes(Encoding.PEM)


def put(parent, name, data):
    """A file below STATE/tls, as an administrator would put it there."""
    path = os.path.join(parent.state, "tls", name)
    owner = os.stat(os.path.dirname(path))
    with open(path + ".new", "wb") as f:
        f.write(data)
    os.chmod(path + ".new", 0o600)
    os.chown(path + ".new", owner.st_uid, owner.st_gid)
    os.rename(path + ".new", path)
    return path


def key_of(parent, name):
    with open(os.path.join(parent.state, "tls", name), "rb") as f:
        return load_pem_private_key(f.read(), None)


def use(parent, key):
    """Another key with a certificate of its own in the places of the parent's."""
    put(parent, "server.key", key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    put(parent, "server.crt", certificate(key, 30))
    parent.p.send_signal(signal.SIGHUP)


def test_the_spare_key_takes_over_without_a_visit(new_parent, workdir, programs, request):
    parent = new_parent()
    api = parent.token()
    a = new_agent(workdir, "spare", programs)
    assert a.command("join", "--join", api.ok("POST", "/enrolment-tokens", {"name": "t"})["join"]).returncode == 0
    device = a.identity()["device_id"]
    request.addfinalizer(lambda: a.end(9))  # a test that failed must not keep the port of test messages
    a.start()
    rev = wait_until(lambda: (a.status()["status"]["observed"] or {}).get("rev"), "the first bundle", 30)
    first = shown(parent)
    with open(os.path.join(parent.state, "tls", "server.key"), "rb") as f:
        mine = f.read()
    a.stop()
    use(parent, key_of(parent, "backup.key"))
    second = wait_until(lambda: shown(parent) != first and shown(parent), "the spare to be shown", 15, 0.3)
    with open(os.path.join(parent.state, "tls", "pins")) as f:
        assert second in f.read().split()
    a.start()
    wait_until(lambda: a.condition("Authenticated")["status"] == "True", "the agent to come back", 30)
    parent.restart()  # api sees the new certificate, and so it is after a start
    api = parent.token()
    assert shown(parent) == second
    api.change(f"/devices/{device}", {"placement": "inner"})
    wait_until(lambda: a.status()["status"]["observed"]["rev"] > rev, "a change by the new key", 120)
    # a certificate of a pinned key beside another pinned key: half of a change that somebody forgot
    put(parent, "server.key", mine)
    parent.p.send_signal(signal.SIGHUP)
    wait_until(lambda: "does not belong to key" in parent.log(), "the refusal", 15)
    assert shown(parent) == second
    wait_until(lambda: a.condition("Authenticated")["status"] == "True", "the agent to be let in all the same", 30)
    # one that no child was told of: the parent goes on with what it has, and says why
    use(parent, ec.generate_private_key(ec.SECP256R1()))
    wait_until(lambda: "is not pinned by the children" in parent.log(), "the refusal", 15)
    assert shown(parent) == second and a.condition("Authenticated")["status"] == "True"
    a.stop()


def test_an_expired_certificate_of_a_pinned_key(new_parent, workdir, programs):
    parent = new_parent()
    api = parent.token()
    a = new_agent(workdir, "late", programs)
    assert a.command("join", "--join", api.ok("POST", "/enrolment-tokens", {"name": "t"})["join"]).returncode == 0
    device = a.identity()["device_id"]
    a.start()
    wait_until(lambda: a.condition("ParentCertificate")["status"] == "True", "a certificate that is valid", 20)
    a.stop()
    key = key_of(parent, "server.key")
    parent.stop()
    parent.extra.update({"api.certificate": put(parent, "late.crt", certificate(key, -1)),
                         "api.private_key": put(parent, "late.key", key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))})
    parent.start(wait=False)  # nobody who looks at dates would call it ready
    a.start()
    wait_until(lambda: a.condition("Authenticated")["status"] == "True", "the agent to be let in", 60)
    assert a.condition("ParentCertificate")["status"] == "False" and a.condition("ParentCertificate")["reason"] == "Expired"
    api = Session(parent.base, False, api.headers["Authorization"][7:])
    said = wait_until(lambda: [c for c in api.ok("GET", f"/devices/{device}")["conditions"] if c["type"] == "ParentCertificate"
                               and c["status"] == "False"], "the parent to show it", 30)
    assert "renew the certificate" in said[0]["message"]
    rev = a.status()["status"]["observed"]["rev"]
    api.change(f"/devices/{device}", {"placement": "inner"})
    wait_until(lambda: a.status()["status"]["observed"]["rev"] > rev, "a change all the same", 60)
    a.stop()
    # a key that is not pinned is never spoken to, whatever its dates
    b = new_agent(workdir, "wary", programs)
    r = b.join(parent.base, "A" * 43, "admin", "no password of anybody")
    assert r.returncode == 4 and not os.path.exists(os.path.join(b.state, "identity.json")), r.stderr
