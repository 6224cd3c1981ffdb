"""The link between client and server: loopback, or two network namespaces with a program between them that delays every packet."""
import json
import os
import subprocess
from pathlib import Path

BENCH = Path(__file__).resolve().parent.parent


class Link:
    """A link for as long as the `with` lasts. Server and clients are started with `prefix("s")` and `prefix("c")`."""

    def __init__(self, work, port, rtt, rate):
        self.work, self.rtt, self.rate = work, rtt, rate
        self.name = f"tlb{os.getpid()}" if rtt > 0 else None
        self.address = "10.77.0.2" if rtt > 0 else "127.0.0.1"
        self.environment = dict(os.environ, WANLINK=str(work / "wanlink"), WAN_STATE=str(work / "wan"), CTL_PORT=str(port))

    def __enter__(self):
        if self.name:
            subprocess.run(["cc", "-O2", "-o", self.work / "wanlink", BENCH / "wanlink.c"], check=True)
            self.call("up", str(self.rtt), str(self.rate))
        return self

    def __exit__(self, *_):
        if self.name:
            self.call("down", check=False)

    def __str__(self):
        return f"{self.rtt:g} ms round trip, {self.rate:g} Mbit/s" if self.name else "loopback"

    def prefix(self, side):
        return ["ip", "netns", "exec", f"{self.name}-{side}"] if self.name else []

    def passed(self):
        """What passed since the last time: connections, round trips on the control connections, bytes in both directions."""
        if not self.name:
            return {}
        stats = json.loads(self.call("stats"))
        wire = stats["up"]["wire_bytes"] + stats["down"]["wire_bytes"]
        return {"connections": stats["connects"], "round_trips": stats["ctl_turns"], "wire_mib": wire / 2**20}

    def call(self, verb, *more, check=True):
        command = [BENCH / "wan.sh", verb, self.name, *more]
        return subprocess.run(command, env=self.environment, check=check, stdout=subprocess.PIPE, text=True).stdout
