#!/usr/bin/python3
"""An FTPS server for the tests, made from pyftpdlib: TLS is required on both connections. Not for use elsewhere.

Its log has a line for each command (`C: STOR file`) and each reply (`S: 226 ...`); passwords are left out.
"""

import argparse
import os

from OpenSSL import SSL
from pyftpdlib.authorizers import DummyAuthorizer
from pyftpdlib.filesystems import AbstractedFS
from pyftpdlib.handlers import TLS_FTPHandler
from pyftpdlib.servers import FTPServer

VERSIONS = {"1.2": SSL.TLS1_2_VERSION, "1.3": SSL.TLS1_3_VERSION}


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--address", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--passive", nargs=2, type=int, metavar=("FIRST", "LAST"), required=True)
    parser.add_argument("--root", required=True)
    parser.add_argument("--certificate", required=True, help="PEM: the certificate, and what it is signed by")
    parser.add_argument("--key", required=True, help="PEM")
    parser.add_argument("--user", required=True)
    parser.add_argument("--password-file", required=True)
    parser.add_argument("--log", required=True)
    parser.add_argument("--tls-min", choices=VERSIONS, default="1.2")
    parser.add_argument("--tls-max", choices=VERSIONS, default="1.3")
    parser.add_argument("--implicit", action="store_true", help="TLS from the first byte")
    parser.add_argument("--fold-case", action="store_true", help="names that differ in case alone are the same")
    parser.add_argument("--permissions", default="elradfmwMT", help="pyftpdlib's letters; M is SITE CHMOD, T is MFMT")
    parser.add_argument("--max-clients", type=int, default=100)
    parser.add_argument("--account", type=int, help="the user and group to become, by number")
    return parser.parse_args()


def tls_context(options):
    context = SSL.Context(SSL.TLS_METHOD)
    context.set_min_proto_version(VERSIONS[options.tls_min])
    context.set_max_proto_version(VERSIONS[options.tls_max])
    context.use_certificate_chain_file(options.certificate)
    context.use_privatekey_file(options.key)
    context.set_session_id(b"towline")
    return context


class Folding(AbstractedFS):
    """Finds an entry whatever its case, as Windows and macOS do, and keeps the case that it was made with."""

    def ftp2fs(self, ftppath):
        at = self.root
        for name in filter(None, self.ftpnorm(ftppath).split("/")):
            there = os.path.join(at, name)
            if not os.path.lexists(there) and os.path.isdir(at):
                there = next((os.path.join(at, other) for other in os.listdir(at) if other.lower() == name.lower()), there)
            at = there
        return at


class Logged(TLS_FTPHandler):
    tls_control_required = True
    tls_data_required = True
    auth_failed_timeout = 0
    log_file = None

    def pre_process_command(self, line, cmd, arg):
        self.write("C: PASS" if cmd == "PASS" else "C: " + line)
        super().pre_process_command(line, cmd, arg)

    def respond(self, resp, *args, **kwargs):
        self.write("S: " + resp)
        super().respond(resp, *args, **kwargs)

    def write(self, line):
        self.log_file.write((line + "\n").encode("utf-8", "surrogateescape"))


class Implicit(Logged):
    def handle(self):
        self.secure_connection(self.ssl_context)

    def handle_ssl_established(self):
        super().handle()

    def ftp_AUTH(self, arg):
        self.respond("503 TLS is on already.")


def main():
    options = arguments()
    handler = Implicit if options.implicit else Logged
    handler.ssl_context = tls_context(options)
    handler.passive_ports = range(options.passive[0], options.passive[1] + 1)
    handler.log_file = open(options.log, "ab", buffering=0)
    if options.fold_case:
        handler.abstracted_fs = Folding
    with open(options.password_file, encoding="utf-8") as file:
        password = file.read().strip()
    handler.authorizer = DummyAuthorizer()
    server = FTPServer((options.address, options.port), handler)
    # The other limit of pyftpdlib counts every socket, the listening one too.
    server.max_cons_per_ip = options.max_clients
    os.umask(0o022)
    if options.account is not None:
        os.setgroups([])
        os.setgid(options.account)
        os.setuid(options.account)
    handler.authorizer.add_user(options.user, password, options.root, perm=options.permissions)
    server.serve_forever()


if __name__ == "__main__":
    main()
