"""Throw-away FTPS servers for the benchmark: ProFTPD and vsftpd, with session reuse required or not. Not for the tests, which have their own.

Commands are not logged, and passwords are cheap to check: neither is what is measured.
"""
import os
import pwd
import grp
import signal
import subprocess
import time
from pathlib import Path

USER, PASSWORD = "towline", "towline-secret"
# PASSWORD for crypt(3) with the fewest rounds.
HASH = "$6$rounds=1000$towline$dlCy2esKQ7HegRuhqCf4oJv5ghvj7fHwGhoT1ffjxkXoq/KoBsk2xPL/lR6qOnD4XJXUj/LXSmKRv1VSdIxa11"
NOBODY = 65534
START_SECONDS = 20


def certificate(directory, names):
    """Makes ca.pem, server.pem and server.key (P-256) for these DNS names and addresses."""
    def openssl(*arguments):
        subprocess.run(["openssl", *arguments], cwd=directory, check=True, stdin=subprocess.DEVNULL, capture_output=True)

    alternatives = ",".join(("IP:" if name[0].isdigit() else "DNS:") + name for name in names)
    (directory / "extensions").write_text(f"basicConstraints=CA:FALSE\nsubjectAltName={alternatives}\nextendedKeyUsage=serverAuth\n")
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    openssl("req", "-x509", *curve, "-days", "30", "-subj", "/CN=towline bench CA", "-keyout", "ca.key", "-out", "ca.pem",
            "-addext", "keyUsage=critical,keyCertSign")
    openssl("req", *curve, "-subj", f"/CN={names[0]}", "-keyout", "server.key", "-out", "server.csr")
    openssl("x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "30",
            "-extfile", "extensions", "-out", "server.pem")


class Server:
    """A server for as long as the `with` lasts. `home` is what `root` is called by its users."""

    def __init__(self, kind, programs, directory, root, address, port, tls, reuse, prefix, able=False):
        self.kind, self.programs, self.directory, self.root = kind, programs, directory, root
        self.address, self.port, self.tls, self.reuse, self.prefix = address, port, tls, reuse, prefix
        self.able, self.privileged = able, os.geteuid() == 0
        self.home = "" if self.privileged else str(root)
        self.process = None

    def __enter__(self):
        if self.kind == "vsftpd" and not self.privileged:
            raise SystemExit("bench: vsftpd needs root; try --server proftpd")
        self.own(self.root)
        command = {"proftpd": self.proftpd, "vsftpd": self.vsftpd}[self.kind]()
        versions = {"1.2": ("TLSv1.2", "TLSv1.2"), "1.3": ("TLSv1.3", "TLSv1.3"), "both": ("TLSv1.2", "TLSv1.3")}[self.tls]
        self.write("openssl.cnf", "openssl_conf = top\n[top]\nssl_conf = ssl\n[ssl]\nsystem_default = versions\n[versions]\n"
                   f"MinProtocol = {versions[0]}\nMaxProtocol = {versions[1]}\n")
        environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "OPENSSL_CONF": str(self.directory / "openssl.cnf"),
                       "LD_LIBRARY_PATH": str(self.programs / "libs")}
        self.output = open(self.directory / "output", "w+b")
        self.process = subprocess.Popen([*self.prefix, *command], stdin=self.output, stdout=self.output, stderr=self.output,
                                        env=environment, start_new_session=True, cwd=self.directory)
        end = time.monotonic() + START_SECONDS
        while not self.listening():
            if self.process.poll() is not None or time.monotonic() > end:
                self.__exit__()
                raise SystemExit(f"bench: {self.kind} did not start: {(self.directory / 'output').read_text(errors='replace')}")
            time.sleep(0.02)
        return self

    def __exit__(self, *_):
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()
        self.output.close()

    def listening(self):
        """Asks the kernel's table of the process's network namespace; a connection would cost the server a session."""
        try:
            table = Path(f"/proc/{self.process.pid}/net/tcp").read_text()
        except OSError:
            return False
        return any(f":{self.port:04X} 00000000:0000 0A" in line for line in table.splitlines())

    def own(self, path):
        if self.privileged:
            subprocess.run(["chown", "-R", f"{NOBODY}:{NOBODY}", path], check=True)

    def write(self, name, text, mode=0o644):
        path = self.directory / name
        path.touch(mode=mode)
        path.chmod(mode)
        path.write_text(text)

    def proftpd(self):
        uid, gid = (NOBODY, NOBODY) if self.privileged else (os.getuid(), os.getgid())
        versions = {"1.2": "TLSv1.2", "1.3": "TLSv1.3", "both": "TLSv1.2 TLSv1.3"}[self.tls]
        self.write("users", f"{USER}:{HASH}:{uid}:{gid}::{self.root}:/bin/false\n", 0o600)
        self.write("proftpd.conf", f"""
ModulePath {self.programs}/modules
LoadModule mod_tls.c
{'LoadModule mod_copy.c' if self.able else ''}
{'LoadModule mod_digest.c' if self.able else ''}
ServerName bench
ServerType standalone
DefaultServer on
DefaultAddress {self.address}
UseIPv6 off
SocketBindTight on
Port {self.port}
PassivePorts 20000 30000
User {pwd.getpwuid(uid).pw_name}
Group {grp.getgrgid(gid).gr_name}
Umask 022
MaxInstances 200
PidFile {self.directory}/pid
ScoreboardFile {self.directory}/scoreboard
DelayTable none
DelayEngine off
WtmpLog off
TransferLog none
UseReverseDNS off
ControlsEngine off
AuthOrder mod_auth_file.c
AuthUserFile {self.directory}/users
AuthPAM off
RequireValidShell off
AllowOverwrite on
AllowStoreRestart on
SystemLog {self.directory}/system.log
TLSEngine on
TLSRequired on
TLSProtocol {versions}
TLSVerifyClient off
TLSRenegotiate none
TLSECCertificateFile {self.directory}/server.pem
TLSECCertificateKeyFile {self.directory}/server.key
{"" if self.reuse else "TLSOptions NoSessionReuseRequired"}
{"DefaultRoot ~" if self.privileged else ""}
""")
        return [self.programs / "usr/sbin/proftpd", "-n", "-q", "-c", self.directory / "proftpd.conf"]

    def vsftpd(self):
        account = f"{USER}:x:{NOBODY}:{NOBODY}::/:/bin/false\n"
        for name in ("pam.d", "empty"):
            (self.directory / name).mkdir(exist_ok=True)
        self.write(f"pam.d/{USER}", "auth required pam_unix.so nodelay\naccount required pam_permit.so\nsession required pam_permit.so\n")
        self.write("passwd", f"root:x:0:0::/:/bin/false\nnobody:x:{NOBODY}:{NOBODY}::/:/bin/false\n{account}")
        self.write("shadow", f"{USER}:{HASH}:19000::::::\n", 0o600)
        self.write("vsftpd.conf", f"""
listen=YES
listen_address={self.address}
listen_port={self.port}
pasv_min_port=20000
pasv_max_port=30000
port_enable=NO
background=NO
anonymous_enable=NO
local_enable=YES
write_enable=YES
local_umask=022
local_root={self.root}
chroot_local_user=YES
allow_writeable_chroot=YES
secure_chroot_dir={self.directory}/empty
nopriv_user=nobody
pam_service_name={USER}
mdtm_write=YES
tcp_wrappers=NO
seccomp_sandbox=NO
max_clients=200
max_per_ip=200
xferlog_enable=NO
ssl_enable=YES
ssl_tlsv1=YES
ssl_sslv2=NO
ssl_sslv3=NO
ssl_ciphers=HIGH
require_ssl_reuse={'YES' if self.reuse else 'NO'}
strict_ssl_read_eof=YES
force_local_logins_ssl=YES
force_local_data_ssl=YES
rsa_cert_file={self.directory}/server.pem
rsa_private_key_file={self.directory}/server.key
""".lstrip())
        mounts = " && ".join(f"mount --bind $0/{name} /etc/{name}" for name in ("pam.d", "passwd", "shadow"))
        return ["unshare", "-m", "--propagation", "private", "sh", "-c", f'{mounts} && exec "$1" "$0/vsftpd.conf"', self.directory,
                self.programs / "usr/sbin/vsftpd"]
