#!/usr/bin/python3
"""Ask mail ports for their EHLO answer again and again until it has a line; runs in "outside".

  ehlo.py LINE TIMEOUT SINCE-NS NAME=ADDRESS[:PORT] ...
LINE without its 250 code. Prints one line a name: NAME SECONDS (counted from SINCE-NS). Status 1 when time is over.
"""
import smtplib
import sys
import threading
import time


def poll(name, address, line, since, end, late):
    host, _, port = address.rpartition(":") if address.count(":") == 1 else (address, "", "25")
    while time.monotonic() < end:
        try:
            with smtplib.SMTP(timeout=5) as s:
                s.connect(host, int(port))
                s.ehlo("outside.lab.test")
                if line in s.ehlo_resp.decode("ascii", "replace").splitlines():
                    sys.stdout.write(f"{name} {(time.time_ns() - since) / 1e9:.3f}\n")  # one write: others say theirs now
                    sys.stdout.flush()
                    return
        except (OSError, smtplib.SMTPException):
            pass
        time.sleep(0.02)
    late.append(name)


def main():
    line, timeout, since = sys.argv[1], float(sys.argv[2]), int(sys.argv[3])
    late, end = [], time.monotonic() + timeout
    threads = [threading.Thread(target=poll, args=(*a.split("=", 1), line, since, end, late)) for a in sys.argv[4:]]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    if late:
        print(f"not said in time by {', '.join(sorted(late))}", file=sys.stderr)
        return 1
    return 0


sys.exit(main())
