//! pyftpdlib's command line: a virtual user below a folder that is its root, TLS required on both connections. It needs no root.

use std::process::Command;

use super::{NOBODY, Site, Tls, pki};

/// The interpreter that the modules were compiled for: Debian's own, whatever else calls itself python3.
pub(super) const PYTHON: &str = "/usr/bin/python3";

pub(super) fn command(site: &Site) -> Command {
    let options = &site.options;
    let password = site.dir.join("password");
    pki::write_secret(&password, Site::PASSWORD);
    let (min, max) = match options.tls {
        Tls::V12 => ("1.2", "1.2"),
        Tls::V13 => ("1.3", "1.3"),
        Tls::Both => ("1.2", "1.3"),
    };
    let passive = &site.ports.passive;

    let mut command = Command::new(PYTHON);
    command.env_clear().env("PATH", "/usr/bin:/bin").env("PYTHONPATH", site.programs.join("python"));
    command.env("LD_LIBRARY_PATH", site.programs.join("libs")).current_dir(&site.dir);
    // No bytecode: the folder is everybody's. No site: what the machine's user has installed is not ours.
    command.args(["-B", "-s", concat!(env!("CARGO_MANIFEST_DIR"), "/tests/servers/pyftpd.py")]);
    command.args(["--address", site.host, "--port", &site.ports.control.to_string()]);
    command.args(["--passive", &passive.start().to_string(), &passive.end().to_string()]);
    command.arg("--root").arg(&site.root).arg("--log").arg(site.log());
    command.arg("--certificate").arg(site.dir.join("server.pem")).arg("--key").arg(site.dir.join("server.key"));
    command.args(["--user", Site::USER, "--password-file"]).arg(password);
    command.args(["--tls-min", min, "--tls-max", max]);
    if options.implicit {
        command.arg("--implicit");
    }
    if options.fold_case {
        command.arg("--fold-case");
    }
    if let Some(limit) = options.max_clients {
        command.args(["--max-clients", &limit.to_string()]);
    }
    if site.privileged {
        command.args(["--account", &NOBODY.to_string()]);
    }
    command.args(options.extra.split_ascii_whitespace());
    command
}
