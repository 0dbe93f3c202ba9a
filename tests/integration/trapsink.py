"""Net-SNMP's snmptrapd as a receiver: what it understood, one line a notification, with the names of docs/mib/INARI-MIB.txt."""
import contextlib
import os
import socket
import subprocess
import time

SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
MIBS = f"{SOURCE}/tests/data/mibs:{SOURCE}/docs/mib"


def tools_env(folder):
    """Of net-snmp's programs: only our MIBs, and what they would write goes into folder."""
    return {**os.environ, "MIBDIRS": MIBS, "MIBS": "INARI-MIB:SNMPv2-MIB", "SNMPCONFPATH": folder, "SNMP_PERSISTENT_DIR": folder}


def free_port(host):
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.bind((host, 0))
        return s.getsockname()[1]


class TrapSink:
    def __init__(self, folder, host="127.0.0.1", community=None, users=()):
        """users: (name, auth password, priv password, engine of traps in hex or None)."""
        self.host, self.port = host, free_port(host)
        self.out = f"{folder}/traps-{self.port}"
        state = f"{folder}/state-{self.port}"
        os.mkdir(state)
        lines = ["doNotRetainNotificationLogs yes"]
        if community:
            lines.append(f"authCommunity log {community}")
        for name, auth, priv, engine in users:
            for at in ["", f"-e 0x{engine}"] if engine else [""]:
                lines.append(f"createUser {at} {name} SHA-256 {auth} AES {priv}")
            lines.append(f"authUser log {name} priv")
        with open(f"{state}/snmptrapd.conf", "w") as f:
            f.write("\n".join(lines) + "\n")
        self.p = subprocess.Popen(["snmptrapd", "-f", "-n", "-C", "-c", f"{state}/snmptrapd.conf", "-Lf", f"{self.out}.log", "-OQ", "-Os",
                                   "-F", "%v\\n", "-x", f"unix:{state}/agentx", f"udp6:[{host}]:{self.port}" if ":" in host else f"udp:{host}:{self.port}"],
                                  env=tools_env(state), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until = time.monotonic() + 10
        while "NET-SNMP version" not in self.log() and time.monotonic() < until:
            assert self.p.poll() is None, self.log()
            time.sleep(0.02)

    def log(self):
        with contextlib.suppress(FileNotFoundError), open(f"{self.out}.log", encoding="utf-8", errors="replace") as f:
            return f.read()
        return ""

    @property
    def traps(self):
        """[{"snmpTrapOID": "inariDeviceLate", "inariAlertRule": ..}]"""
        found = []
        for line in self.log().splitlines():
            parts = [p.split(" = ", 1) for p in line.split("\t")]
            if "snmpTrapOID.0" in [p[0] for p in parts]:
                found.append({p[0].removesuffix(".0"): p[1].strip('"') for p in parts if len(p) == 2})
        return found

    def close(self):
        self.p.terminate()
        self.p.wait(10)
