//! A program on a terminal: what it says is heard, answers are typed. Not an emulation: escapes are text like any other.

use std::{
    fs::File,
    io::{Read, Write},
    os::fd::{AsFd, OwnedFd},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, PoisonError},
};

use rustix::{
    fs::{Mode, OFlags, open},
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{LocalModes, tcgetattr},
};

use crate::{rig::PATIENCE, support::wait_until};

/// A running program and the terminal that it has for itself.
pub struct Pty {
    child: Child,
    master: File,
    /// Kept, so that the terminal can be looked at when the program has ended.
    slave: OwnedFd,
    heard: Arc<Mutex<String>>,
    /// Up to here was waited for already.
    read: usize,
}

impl Pty {
    /// Starts `command` in a session of its own, whose terminal is this: Ctrl-C reaches it.
    pub fn spawn(command: &Command) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap();
        let slave = open(name.as_c_str(), OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty()).unwrap();
        let end = || Stdio::from(slave.try_clone().unwrap());
        let mut inside = Command::new("setsid");
        inside.args(["--ctty", "--wait"]).arg(command.get_program()).args(command.get_args()).env_clear();
        inside.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let child = inside.stdin(end()).stdout(end()).stderr(end()).spawn().unwrap();
        drop(inside);
        let master = File::from(master);
        let heard = Arc::new(Mutex::new(String::new()));
        let (mut from, into) = (master.try_clone().unwrap(), Arc::clone(&heard));
        // Ends with the last who has the terminal open.
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(n @ 1..) = from.read(&mut bytes) {
                into.lock().unwrap_or_else(PoisonError::into_inner).push_str(&String::from_utf8_lossy(&bytes[..n]));
            }
        });
        Self { child, master, slave, heard, read: 0 }
    }

    /// Waits for `words` behind those that were waited for before.
    #[track_caller]
    pub fn expect(&mut self, words: &str) {
        let read = self.read;
        let find = |all: &str| all.get(read..).and_then(|new| new.find(words)).map(|at| read + at + words.len());
        let (mut end, mut ended) = (None, false);
        wait_until(PATIENCE, || {
            ended = self.child.try_wait().unwrap().is_some();
            end = find(&self.all());
            end.is_some() || ended
        });
        if end.is_none() && ended {
            self.hear_all();
            end = find(&self.all());
        }
        let came = end.is_some();
        assert!(came, "{words:?} did not come; heard:\n{}", self.all());
        self.read = end.unwrap_or(self.read);
    }

    /// Types a line.
    pub fn answer(&mut self, line: &str) {
        self.master.write_all(format!("{line}\n").as_bytes()).unwrap();
    }

    /// Waits for a question and answers it.
    #[track_caller]
    pub fn talk(&mut self, question: &str, line: &str) {
        self.expect(question);
        self.answer(line);
    }

    /// Types Ctrl-C.
    pub fn interrupt(&mut self) {
        self.master.write_all(b"\x03").unwrap();
    }

    /// Everything that was heard so far.
    pub fn all(&self) -> String {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits for the end of the program: its exit code, and all that was heard.
    #[track_caller]
    pub fn end(&mut self) -> (Option<i32>, String) {
        let ended = wait_until(PATIENCE, || self.child.try_wait().unwrap().is_some());
        assert!(ended, "it did not end; heard:\n{}", self.all());
        self.hear_all();
        (self.child.wait().unwrap().code(), self.all())
    }

    /// Waits until all that the program said before is heard: what is said behind it comes after it.
    fn hear_all(&self) {
        const LAST: &str = "(heard all)";
        File::from(self.slave.try_clone().unwrap()).write_all(LAST.as_bytes()).unwrap();
        assert!(wait_until(PATIENCE, || self.all().contains(LAST)), "the terminal is deaf");
    }

    /// Whether what is typed is shown.
    pub fn echoes(&self) -> bool {
        tcgetattr(self.slave.as_fd()).unwrap().local_modes.contains(LocalModes::ECHO)
    }
}

impl Drop for Pty {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
