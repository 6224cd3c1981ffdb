//! A network of two: two network namespaces and the cable between them, which can be cut. Nothing of it touches the machine's own
//! network, and it is gone with the processes that hold it.

use std::io::Read as _;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use crate::support::Impossible;

/// The interfaces of the two ends.
const NEAR_END: &str = "near0";
const FAR_END: &str = "far0";

/// Two machines, as far as the network goes, and a cable.
#[derive(Debug)]
pub struct Cable {
    near: Holder,
    far: Holder,
}

impl Cable {
    /// The address at the near end, where Towline runs.
    pub const NEAR: &str = "10.199.0.2";
    /// The address at the far end, where the server runs.
    pub const FAR: &str = "10.199.0.1";

    /// Lays one. Fails with what the system said where that is not allowed.
    pub fn lay() -> Result<Self, String> {
        let cable = Self { near: Holder::start()?, far: Holder::start()? };
        let far = cable.far().to_string();
        let ip = |holder: &Holder, args: &[&str]| holder.run(Command::new("ip").args(args));
        ip(&cable.near, &["link", "add", NEAR_END, "type", "veth", "peer", "name", FAR_END, "netns", &far])?;
        for (holder, end, address) in [(&cable.near, NEAR_END, Self::NEAR), (&cable.far, FAR_END, Self::FAR)] {
            ip(holder, &["address", "add", &format!("{address}/24"), "dev", end])?;
            ip(holder, &["link", "set", end, "up"])?;
        }
        Ok(cable)
    }

    /// Whether one can be laid here.
    pub fn possible() -> Result<(), Impossible> {
        if let Err(error) = Command::new("ip").arg("-V").stdout(Stdio::null()).status() {
            return Err(Impossible::Missing(format!("the program ip (iproute2): {error}")));
        }
        static POSSIBLE: OnceLock<Result<(), String>> = OnceLock::new();
        POSSIBLE.get_or_init(|| Self::lay().map(drop)).clone().map_err(|why| {
            Impossible::NotAllowed(format!("no network namespaces (unshare -n, ip link add ... type veth): {why}"))
        })
    }

    /// Cuts it: what is sent from now on is lost without a word.
    pub fn cut(&self) {
        self.far.run(Command::new("ip").args(["link", "set", FAR_END, "down"])).unwrap();
    }

    /// Joins it again.
    pub fn mend(&self) {
        self.far.run(Command::new("ip").args(["link", "set", FAR_END, "up"])).unwrap();
    }

    /// The same command, started at the near end.
    pub fn at_near_end(&self, command: &Command) -> Command {
        self.near.inside(command)
    }

    /// The same command, started at the far end.
    pub fn at_far_end(&self, command: &Command) -> Command {
        self.far.inside(command)
    }

    /// A process at the far end, for what `/proc` tells of it.
    pub fn far(&self) -> u32 {
        self.far.0.id()
    }
}

/// A process in a network namespace of its own, which lasts as long as the process. It ends when we do.
#[derive(Debug)]
struct Holder(Child);

impl Holder {
    fn start() -> Result<Self, String> {
        let mut child = Command::new("unshare")
            .args(["-n", "sh", "-c", "ip link set lo up && echo && read never"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| error.to_string())?;
        let ready = child.stdout.as_mut().is_some_and(|out| out.read_exact(&mut [0]).is_ok());
        if ready {
            return Ok(Self(child));
        }
        let output = child.wait_with_output().map_err(|error| error.to_string())?;
        Err(String::from_utf8_lossy(&output.stderr).trim().to_owned())
    }

    fn inside(&self, command: &Command) -> Command {
        let mut inside = Command::new("nsenter");
        inside.args(["-t", &self.0.id().to_string(), "-n", "--"]).arg(command.get_program()).args(command.get_args());
        inside.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        inside.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        if let Some(dir) = command.get_current_dir() {
            inside.current_dir(dir);
        }
        inside
    }

    fn run(&self, command: &Command) -> Result<(), String> {
        let output = self.inside(command).stdin(Stdio::null()).output().map_err(|error| error.to_string())?;
        if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()) }
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
