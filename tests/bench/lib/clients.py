"""What is compared, and how each is called: `NAME-pN[-tuned|-known]`, N being connections or transfers at once. Knows nothing of figures."""
import os
import subprocess
import urllib.parse

from servers import PASSWORD, USER

# What an lftp user has to say to get a verified, encrypted transfer, and the round trips saved that lftp can save.
LFTP = """set cmd:fail-exit yes; set net:max-retries 3; set net:timeout 60; set net:reconnect-interval-base 1;
set ftp:ssl-force yes; set ftp:ssl-protect-data yes; set ftp:ssl-protect-list yes; set ssl:verify-certificate yes;
set ssl:ca-file {ca}; set net:connection-limit 0; set cmd:move-background no; set mirror:parallel-directories yes;"""
LFTP_TUNED = " set ftp:sync-mode off; set ftp:use-mode-z off;"


class Clients:
    """Commands against one server."""

    def __init__(self, towline, programs, rclone, server, work):
        self.towline, self.programs, self.server, self.work = towline, programs, server, work
        self.rclone_program = rclone or programs / "usr/bin/rclone"
        self.ca = server.directory / "ca.pem"
        # rclone's --ca-cert does not reach its FTP backend (1.60); Go's own variable does.
        self.environment = dict(os.environ, HOME=str(work), LC_ALL="C.UTF-8", LD_LIBRARY_PATH=str(programs / "libs"),
                                SSL_CERT_FILE=str(self.ca), RCLONE_CONFIG="/dev/null", RCLONE_FTP_PASS="")

    def command(self, name, source, scratch, then=""):
        """The command line that mirrors `source` into `up`, and its environment; what a second run needs to meet the change `then`.
        A server is new to `towline` unless it is `-known`; the others remember nothing."""
        client, parallel, *options = name.split("-")
        call = {"towline": self.call_towline, "lftp": self.call_lftp, "rclone": self.call_rclone, "curl": self.call_curl}[client]
        return call(int(parallel[1:]), "tuned" in options, source, scratch, then)

    def configure_towline(self, scratch, source, parallel, more="", path="up"):
        """Writes a configuration beside a state directory; the begin of a command line."""
        secret = scratch / "password"
        secret.touch(mode=0o600)
        secret.write_text(PASSWORD + "\n")
        (scratch / "towline.toml").write_text(f"""
[remote.bench]
host = "{self.server.address}"
port = {self.server.port}
user = "{USER}"
password = {{ file = "{secret}" }}
connections = {parallel}

[remote.bench.tls]
ca = "{self.ca}"

[[mirror]]
name = "{path}"
source = "{source}"
remote = "bench"
path = "{self.server.home}/{path}"
{more}""")
        state = scratch / "state"
        state.mkdir(mode=0o700, exist_ok=True)
        return [self.towline, "--config", scratch / "towline.toml", "--state-dir", state]

    def meet(self, scratch, name):
        """What has Towline know the server before `name` is run: it puts one small file elsewhere. The command line, its environment."""
        source = scratch / "met"
        source.mkdir()
        (source / "file").write_text("known\n")
        parallel = int(name.split("-")[1][1:])
        return [*self.configure_towline(scratch, source, parallel, path="met"), "sync"], dict(os.environ, HOME=str(self.work))

    def call_towline(self, parallel, _tuned, source, scratch, _then):
        return [*self.configure_towline(scratch, source, parallel), "sync"], dict(os.environ, HOME=str(self.work))

    def call_lftp(self, parallel, tuned, source, _scratch, then):
        script = LFTP.format(ca=self.ca) + (LFTP_TUNED if tuned else "")
        script += f" open -u {USER},{PASSWORD} -p {self.server.port} ftp://{self.server.address};"
        script += f" mirror -R{' -e' if then else ''} --parallel={parallel} {source} up"
        return [self.programs / "usr/bin/lftp", "--norc", "-c", script], self.environment

    def call_rclone(self, parallel, tuned, source, _scratch, then):
        if not self.environment["RCLONE_FTP_PASS"]:
            hidden = subprocess.run([self.rclone_program, "obscure", "-"], input=PASSWORD, env=self.environment, check=True,
                                    capture_output=True, text=True).stdout.strip()
            self.environment["RCLONE_FTP_PASS"] = hidden
            self.flags = subprocess.run([self.rclone_program, "help", "flags"], env=self.environment, capture_output=True, text=True).stdout
        extra = []
        if tuned and then:
            # It may leave out nothing of what is there; but a file that has a new name can be found by what it looks like.
            extra = ["--checkers", "8", "--track-renames", "--track-renames-strategy", "modtime,leaf"]
        elif tuned:
            # What it can leave out: looking at what is there, and at what it sent. Older versions know a part of it.
            wanted = ["--no-traverse", "--no-check-dest", "--inplace", "--ftp-no-check-upload"]
            if self.server.kind == "vsftpd":  # rclone 1.60 cannot resume a TLS 1.3 session there: "illegal parameter"
                wanted.append("--ftp-disable-tls13")
            extra = ["--checkers", str(max(parallel, 4)), *[flag for flag in wanted if flag + " " in self.flags]]
        return [self.rclone_program, "sync" if then else "copy", "--transfers", str(parallel), "--ftp-host", self.server.address,
                "--ftp-port", str(self.server.port), "--ftp-user", USER, "--ftp-explicit-tls", *extra, source, ":ftp:up"], self.environment

    def call_curl(self, parallel, tuned, source, scratch, _then):
        """It has no mirror: it is told of each file. It neither proves nor renames, nor sets times, nor says which file failed."""
        def quoted(text):
            return '"' + str(text).replace("\\", "\\\\").replace('"', '\\"') + '"'

        with open(scratch / "curl", "w") as config:
            for path in sorted(path for path in source.rglob("*") if path.is_file()):
                url = f"ftp://{self.server.address}:{self.server.port}/up/{urllib.parse.quote(str(path.relative_to(source)))}"
                config.write(f"upload-file = {quoted(path)}\nurl = {quoted(url)}\n")
        # Under TLS 1.3 it meets no server that insists on session reuse.
        how = ["--tls-max", "1.2", "--ftp-create-dirs", "--ftp-method", "nocwd" if tuned else "multicwd"]
        if parallel > 1:
            how += ["--parallel", "--parallel-max", str(parallel)]
        return [self.programs / "usr/bin/curl", "-sS", "--fail-early", "--ssl-reqd", "--cacert", self.ca, "--user", f"{USER}:{PASSWORD}", *how,
                "--config", scratch / "curl"], self.environment
