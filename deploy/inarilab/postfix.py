"""A child's Postfix as a person would have set it up by hand, before Inari adopts it."""
import os
import shutil

from .util import LabError, make_dir, run, write_file

STOCK = "/usr/share/postfix"


def main_cf(lab, host):
    """Debian's own template, plus the few lines anybody adds to relay one domain."""
    with open(f"{STOCK}/main.cf.debian") as f:
        text = f.read()
    return text + f"""
# --- by hand ---
myhostname = {host.name}.{lab.zone}
alias_maps = hash:/etc/postfix/aliases
alias_database = hash:/etc/postfix/aliases
mydestination = $myhostname, localhost
mynetworks = 127.0.0.0/8 [::ffff:127.0.0.0]/104 [::1]/128
mailbox_size_limit = 0
recipient_delimiter = +
inet_interfaces = all
inet_protocols = all
relay_domains = {lab.domain}
relayhost =
transport_maps = texthash:/etc/postfix/transport
"""


def write(lab, host):
    """The configuration, once: what is there is never touched again by the lab."""
    etc = os.path.join(host.root, "etc/postfix")
    if os.path.exists(os.path.join(etc, "main.cf")):
        return
    if not os.path.exists(f"{STOCK}/master.cf.dist"):
        raise LabError("postfix is not installed: apt-get install postfix")
    make_dir(etc)
    for name in ("postfix-files", "postfix-script", "post-install", "dynamicmaps.cf", "postfix-files.d",
                 "dynamicmaps.cf.d", "makedefs.out"):
        source = f"/etc/postfix/{name}"
        if os.path.islink(source):
            os.symlink(os.readlink(source), os.path.join(etc, name))
        elif os.path.isdir(source):
            shutil.copytree(source, os.path.join(etc, name), dirs_exist_ok=True)
        elif os.path.exists(source):
            shutil.copy2(source, os.path.join(etc, name))
    shutil.copy(f"{STOCK}/master.cf.dist", os.path.join(etc, "master.cf"))
    write_file(f"{etc}/aliases", "postmaster: root\n")
    write_file(f"{etc}/transport", f"{lab.domain} smtp:[{lab.inside_address}]\n")
    make_dir(os.path.join(host.root, "var/spool/postfix"))
    import pwd
    make_dir(os.path.join(host.root, "var/lib/postfix"), 0o700, pwd.getpwnam("postfix").pw_uid)
    write_file(f"{etc}/main.cf", main_cf(lab, host))


def running(host):
    return host.run(["postfix", "status"], check=False).returncode == 0


def start(host):
    """As Debian's unit does it: the chroot is filled, then started."""
    if running(host):
        return
    host.run(["postalias", "hash:/etc/postfix/aliases"])
    host.run(["/usr/lib/postfix/configure-instance.sh", "-"], check=False)
    host.run(["postfix", "start"], timeout=60)
