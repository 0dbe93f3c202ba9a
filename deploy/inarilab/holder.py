#!/usr/bin/python3
"""What makes a namespace a host: runs inside it for as long as the host is "on".

Started in the host's network namespace with mount and UTS namespaces of its own (inarilab/host.py).  It mounts the
host's private folders, gives it a /dev with its own log socket, sets the name, says "ready", and is then the syslog
daemon: one line a message in LOG.  Arguments: a JSON object {"name","binds":[[from,to]...],"log","sockets":[...]}.
"""
import ctypes
import json
import os
import selectors
import signal
import socket
import sys
import time

MS_BIND, MS_REC, MS_PRIVATE = 4096, 16384, 1 << 18
libc = ctypes.CDLL(None, use_errno=True)


def mount(source, target, fs=None, flags=0, data=None):
    args = [x.encode() if x is not None else None for x in (source, target, fs)]
    if libc.mount(*args, ctypes.c_ulong(flags), data.encode() if data else None) != 0:
        err = ctypes.get_errno()
        raise OSError(err, f"mount {source} on {target}: {os.strerror(err)}")


def private_dev():
    """A /dev that shares the devices but not the log socket."""
    old = os.open("/dev", os.O_RDONLY | os.O_DIRECTORY)
    base = f"/proc/self/fd/{old}"
    mount("tmpfs", "/dev", "tmpfs", 0, "mode=755,size=4m")
    for name in ("null", "zero", "full", "random", "urandom", "tty", "ptmx"):
        if os.path.exists(f"{base}/{name}") and not os.path.islink(f"{base}/{name}"):
            open(f"/dev/{name}", "w").close()
            mount(f"{base}/{name}", f"/dev/{name}", None, MS_BIND)
    for name in ("pts", "shm"):
        os.mkdir(f"/dev/{name}")
        if os.path.isdir(f"{base}/{name}"):
            mount(f"{base}/{name}", f"/dev/{name}", None, MS_BIND | MS_REC)
    if os.path.islink(f"{base}/ptmx") or not os.path.exists("/dev/ptmx"):
        os.symlink("pts/ptmx", "/dev/ptmx")
    for name, to in (("fd", "fd"), ("stdin", "fd/0"), ("stdout", "fd/1"), ("stderr", "fd/2")):
        os.symlink(f"/proc/self/{to}", f"/dev/{name}")
    os.close(old)


def listen(path):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
    s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    s.bind(path)
    os.chmod(path, 0o666)
    s.setblocking(False)
    return s


def line_of(host, data):
    """<PRI>Mon DD HH:MM:SS tag[pid]: text -> our own time, host, tag and text; controls are shown, not obeyed."""
    text = data.decode("utf-8", "replace").rstrip("\n\0")
    if text.startswith("<"):
        text = text[text.find(">") + 1:]
    if len(text) > 15 and text[3] == " " and text[6] == " " and text[9] == ":":
        text = text[16:]
    text = "".join(c if c >= " " else f"\\x{ord(c):02x}" for c in text)
    now = time.time()
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + f".{int(now * 1e3) % 1000:03d}Z"
    return f"{stamp} {host} {text}\n".encode()


def open_log(log):
    return os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)


def rotated(log, out):
    """Somebody renamed it: as rsyslog after a SIGHUP, from now on a new one is written."""
    try:
        return os.stat(log).st_ino != os.fstat(out).st_ino
    except FileNotFoundError:
        return True


def serve(host, log, sockets):
    out = open_log(log)
    sel = selectors.DefaultSelector()
    for s in sockets:
        sel.register(s, selectors.EVENT_READ)
    while True:
        for key, _ in sel.select():
            lines = []
            try:
                while len(lines) < 1000:
                    lines.append(line_of(host, key.fileobj.recv(65536)))
            except BlockingIOError:
                pass
            if rotated(log, out):
                os.close(out)
                out = open_log(log)
            os.write(out, b"".join(lines))


def main():
    spec = json.loads(sys.argv[1])
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    mount(None, "/", None, MS_REC | MS_PRIVATE)
    for source, target in spec["binds"]:
        mount(source, target, None, MS_BIND)
    private_dev()
    socket.sethostname(spec["name"])
    try:  # a full log socket stops its writers: the default queue of 10 is too short for a busy Postfix
        with open("/proc/sys/net/unix/max_dgram_qlen", "w") as f:
            f.write("4096")
    except OSError:
        pass
    sockets = [listen(p) for p in spec["sockets"]]
    os.write(1, b"ready\n")
    null = os.open("/dev/null", os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    serve(spec["name"], spec["log"], sockets)


main()
