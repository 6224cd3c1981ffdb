//! Real proxies on loopback, with a user and a password: microsocks (SOCKS5) and tinyproxy (HTTP CONNECT). Their connections leave
//! from an address of their own, so that a server's log tells them from direct ones.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr};
use std::ops::RangeInclusive;
use std::process::Command;

use tempfile::TempDir;

use super::process::Family;
use super::{Ports, START, is_listening, is_root, pki, programs};
use crate::support::{temp_dir, wait_until};

/// Which proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyKind {
    /// microsocks.
    Socks5,
    /// tinyproxy, which connects to the ports of one server alone.
    Http,
}

impl ProxyKind {
    pub const ALL: [Self; 2] = [Self::Socks5, Self::Http];

    /// As it stands in the names of trials, and in a configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Socks5 => "socks5",
            Self::Http => "http",
        }
    }
}

/// A running proxy.
pub struct Proxy {
    pub kind: ProxyKind,
    pub port: u16,
    pub user: &'static str,
    pub password: &'static str,
    family: Family,
    _ports: Ports,
    _dir: TempDir,
}

impl Proxy {
    pub const HOST: &str = "127.0.0.1";
    /// Where its own connections come from.
    pub const FROM: &str = "127.0.0.3";
    const USER: &str = "through";
    const PASSWORD: &str = "proxy-secret";

    /// Starts a proxy to a server with these ports, and waits until it listens.
    ///
    /// # Panics
    /// Where it does not, with what it wrote.
    pub fn start(kind: ProxyKind, control: u16, passive: RangeInclusive<u16>) -> Self {
        let programs = programs().expect("the trial was to ask `possible` first");
        let dir = temp_dir();
        let ports = Ports::claim();
        let port = ports.control;
        let mut command;
        match kind {
            ProxyKind::Socks5 => {
                command = Command::new(programs.join("usr/bin/microsocks"));
                command.args(["-i", Self::HOST, "-p", &port.to_string(), "-b", Self::FROM]);
                command.args(["-u", Self::USER, "-P", Self::PASSWORD]);
            }
            ProxyKind::Http => {
                let mut text = format!(
                    "Port {port}\nListen {}\nBind {}\nAllow 127.0.0.1\nBasicAuth {} {}\nTimeout 600\nMaxClients 100\nLogLevel Connect\n",
                    Self::HOST,
                    Self::FROM,
                    Self::USER,
                    Self::PASSWORD
                );
                if is_root() {
                    text += "User nobody\nGroup nogroup\n";
                }
                for port in passive.chain([control]) {
                    let _ = writeln!(text, "ConnectPort {port}");
                }
                let file = dir.path().join("tinyproxy.conf");
                pki::write_secret(&file, &text);
                command = Command::new(programs.join("usr/bin/tinyproxy"));
                command.arg("-d").arg("-c").arg(file);
            }
        }
        command.env_clear().env("LD_LIBRARY_PATH", programs.join("libs")).current_dir(dir.path());
        let mut family = Family::spawn(command, &dir.path().join("output")).unwrap();
        let here = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let listening = wait_until(START, || is_listening("/proc/self", here, port) || !family.is_running());
        assert!(listening && family.is_running(), "{} did not start: {}", kind.name(), family.output());
        Self { kind, port, user: Self::USER, password: Self::PASSWORD, family, _ports: ports, _dir: dir }
    }

    /// Kills it with all its connections.
    pub fn stop(&mut self) {
        self.family.kill();
    }

    /// What it wrote: a line for each connection that it made.
    pub fn log(&self) -> String {
        self.family.output()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- {}:\n{}---", self.kind.name(), self.log());
        }
    }
}
