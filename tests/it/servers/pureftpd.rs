//! Pure-FTPd's command line: virtual users in a chroot, TLS required on both connections. It needs root.

use std::process::{Command, Stdio};

use super::{NOBODY, Site, pki};

pub(super) fn command(site: &Site) -> Command {
    let options = &site.options;
    let users = site.dir.join("users");
    let database = site.dir.join("users.pdb");
    // The two dots end the chroot's path. A hash of our own: `pure-pw` would make one that takes seconds to check.
    let line = format!("{}:{}:{NOBODY}:{NOBODY}::{}/./::::::::::::\n", Site::USER, Site::PASSWORD_HASH, site.root.display());
    pki::write_secret(&users, &line);
    let made = site.program("usr/bin/pure-pw").arg("mkdb").arg(&database).arg("-f").arg(&users).stdin(Stdio::null()).status();
    assert!(made.unwrap().success(), "pure-pw mkdb failed");

    let limit = options.max_clients.unwrap_or(100).to_string();
    let mut command = site.program("usr/sbin/pure-ftpd");
    command.args([
        if options.ipv6 { "-6" } else { "-4" },
        "-E",
        "-H",
        "-A",
        "-u",
        "100",
        "-U",
        "133:022",
        "-f",
        "none",
        "-c",
        &limit,
        "-C",
        &limit,
    ]);
    command.args(["-S", &format!("{},{}", site.host, site.ports.control)]);
    command.args(["-p", &format!("{}:{}", site.ports.passive.start(), site.ports.passive.end())]);
    command.arg("-l").arg(format!("puredb:{}", database.display()));
    command.args(["-Y", "3", "-2"]).arg(site.dir.join("both.pem"));
    command.arg("-O").arg(format!("clf:{}", site.log().display()));
    command.arg("-g").arg(site.dir.join("pid"));
    command.args(options.extra.split_ascii_whitespace());
    command
}
