//! A server's processes: started as a group, stopped, frozen and killed together with all that they forked. Knows nothing of FTP.

use std::fs::{self, File};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::support::wait_until;

/// A running program and its descendants. Dropping it kills them all.
pub struct Family {
    child: Child,
    /// Kills the group should we die without a drop: an interrupt reaches us, but not a group of its own.
    guard: Child,
    output: PathBuf,
    /// Once they are gone, their numbers may be anybody's.
    gone: bool,
}

impl Family {
    /// Starts `command` as the leader of a process group, its output in a file.
    pub fn spawn(mut command: Command, output: &Path) -> io::Result<Self> {
        let file = File::options().create(true).append(true).read(true).open(output)?;
        // vsftpd tells of a broken configuration on descriptor 0.
        command.stdin(file.try_clone()?).stdout(file.try_clone()?).stderr(file).process_group(0);
        let child = command.spawn()?;
        let guard = Command::new("sh")
            .args(["-c", "read never; kill -9 -$0", &child.id().to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()?;
        Ok(Self { child, guard, output: output.to_owned(), gone: false })
    }

    /// The number of the first process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether the first process still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// What the processes wrote to stdout and stderr.
    pub fn output(&self) -> String {
        read_lossy(&self.output)
    }

    /// Stops every process where it is, as a machine that hangs would.
    pub fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets them go on.
    pub fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    /// Kills them all and waits until they are gone.
    pub fn kill(&mut self) {
        if std::mem::replace(&mut self.gone, true) {
            return;
        }
        let _ = self.guard.kill();
        let _ = self.guard.wait();
        // Frozen first, so that nobody forks while we look.
        self.freeze();
        let members = self.members();
        for &pid in &members {
            send(pid, Signal::KILL);
        }
        let _ = self.child.wait();
        assert!(wait_until(Duration::from_secs(10), || !members.iter().any(|&pid| is_alive(pid))), "a killed server lives on");
    }

    fn signal(&self, signal: Signal) {
        let mut done: Vec<u32> = Vec::new();
        // Until a pass finds nobody new: a process may have been forked meanwhile.
        loop {
            let new: Vec<u32> = self.members().into_iter().filter(|pid| !done.contains(pid)).collect();
            if new.is_empty() {
                return;
            }
            for &pid in &new {
                send(pid, signal);
            }
            done.extend(new);
        }
    }

    /// The leader, its group and its descendants. A server's session processes may leave the group, and may outlive their parent.
    fn members(&self) -> Vec<u32> {
        let leader = self.child.id();
        let all = processes();
        let mut members = vec![leader];
        loop {
            let new: Vec<u32> = all
                .iter()
                .filter(|p| (p.group == leader || members.contains(&p.parent)) && !members.contains(&p.pid))
                .map(|p| p.pid)
                .collect();
            if new.is_empty() {
                return members;
            }
            members.extend(new);
        }
    }
}

impl Drop for Family {
    fn drop(&mut self) {
        self.kill();
    }
}

struct Process {
    pid: u32,
    parent: u32,
    group: u32,
    zombie: bool,
}

/// Every process that `/proc` shows.
fn processes() -> Vec<Process> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| process(entry.file_name().to_str()?.parse().ok()?)).collect()
}

fn process(pid: u32) -> Option<Process> {
    let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
    let stat = String::from_utf8_lossy(&stat);
    // The program's name is in brackets and may hold anything.
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    let state = fields.next()?;
    Some(Process {
        pid,
        parent: fields.next()?.parse().ok()?,
        group: fields.next()?.parse().ok()?,
        zombie: matches!(state, "Z" | "X"),
    })
}

fn is_alive(pid: u32) -> bool {
    process(pid).is_some_and(|p| !p.zombie)
}

fn send(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        let _ = kill_process(pid, signal);
    }
}

/// A text file, or nothing where there is none.
pub fn read_lossy(path: &Path) -> String {
    fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}
