"""What both measurements need: the programs, and a port."""
import json
import socket
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent.parent


def free_port():
    """A port that nobody listens on; in namespaces of our own that is none of our worries, but no harm."""
    for port in range(2990, 3090):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue
    raise SystemExit("bench: no free port from 2990 to 3089")


def fetch(which):
    return Path(subprocess.run([ROOT / "tests/servers/fetch.sh", which], check=True, stdout=subprocess.PIPE, text=True).stdout.strip())


def build():
    features = ["--release", "--no-default-features", "--features", "aws-lc-rs"]
    subprocess.run(["cargo", "build", "--locked", *features], cwd=ROOT, check=True)
    metadata = subprocess.run(["cargo", "metadata", "--format-version=1", "--no-deps"], cwd=ROOT, check=True, stdout=subprocess.PIPE)
    return Path(json.loads(metadata.stdout)["target_directory"]) / "release/towline"
