//! Runs a program for the password that it prints. Not a shell, and not for anything that needs a terminal.

use std::{
    io::{self, Read, Write},
    os::unix::process::CommandExt as _,
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process_group};
use zeroize::Zeroizing;

use super::{MAX, SecretError, read_some};

/// How often it is looked whether the program has ended.
const TICK: Duration = Duration::from_millis(5);
/// How long its last words may take to arrive when it has ended; longer only where something else holds the pipe open.
const LINGER: Duration = Duration::from_secs(5);
/// How much of its standard error is shown, in bytes.
const MAX_STDERR: u64 = 1024;

/// What the program `words` prints, at most one byte more than can be right, when `input` (little enough for a pipe) is all that it can
/// read. It and its children are killed after `limit`.
pub(super) fn output(
    words: &[String],
    input: &[u8],
    from: &dyn Fn() -> String,
    limit: Duration,
) -> Result<Zeroizing<Vec<u8>>, SecretError> {
    let cannot_run = |source| SecretError::Run { from: from(), source };
    let (program, arguments) =
        words.split_first().ok_or_else(|| cannot_run(io::Error::new(io::ErrorKind::InvalidInput, "no program is named")))?;
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(if input.is_empty() { Stdio::null() } else { Stdio::piped() })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // A group of its own, so that its children can be killed with it.
        .process_group(0)
        .spawn()
        .map_err(cannot_run)?;
    // Who does not read it has ended.
    drop(child.stdin.take().map(|mut stdin| stdin.write_all(input)));
    let stdout = child.stdout.take().map(|pipe| in_background(pipe, |mut pipe| read_some(&mut pipe)));
    let stderr = child.stderr.take().map(|pipe| in_background(pipe, read_words));

    let mut left = limit;
    let timeout = || SecretError::Timeout { from: from(), limit };
    let Some(status) = wait(&mut child, &mut left).map_err(cannot_run)? else { return Err(timeout()) };
    if status.success() {
        // Whatever it left running may hold the pipe open; its end is awaited as a shell would, but within the limit.
        return match stdout.map(|bytes| bytes.recv_timeout(left.max(LINGER))) {
            Some(Ok(bytes)) => bytes.map_err(|source| SecretError::Read { from: from(), source }),
            _ => Err(timeout()),
        };
    }
    match stdout.map(|bytes| bytes.recv_timeout(LINGER)) {
        // It failed because nobody read on: it printed too much.
        Some(Ok(Ok(bytes))) if bytes.len() > MAX => Ok(bytes),
        _ => {
            let stderr = stderr.and_then(|words| words.recv_timeout(LINGER).ok()).unwrap_or_default();
            Err(SecretError::Failed { from: from(), status, stderr })
        }
    }
}

/// How the program ended; `None` if it had to be killed. Takes the time that passed from `left`.
fn wait(child: &mut Child, left: &mut Duration) -> io::Result<Option<ExitStatus>> {
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if left.is_zero() {
            // It is not reaped yet, so the number is still its own.
            let _ = kill_process_group(Pid::from_child(child), Signal::KILL);
            child.wait()?;
            return Ok(None);
        }
        thread::sleep(TICK.min(*left));
        *left = left.saturating_sub(TICK);
    }
}

/// Reads from a pipe on a thread of its own, which ends with the pipe.
fn in_background<P: Read + Send + 'static, T: Send + 'static>(
    pipe: P,
    read: impl FnOnce(P) -> T + Send + 'static,
) -> mpsc::Receiver<T> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        // Nobody waits any more when the program was killed.
        let _ = sender.send(read(pipe));
    });
    receiver
}

/// The beginning of what a program complains of, on one line. Reads all of it: a full pipe would stop the program.
fn read_words(mut pipe: impl Read) -> String {
    let mut bytes = Vec::new();
    if (&mut pipe).take(MAX_STDERR).read_to_end(&mut bytes).is_ok() {
        // If this fails, the program is gone and so is the need.
        let _ = io::copy(&mut pipe, &mut io::sink());
    }
    let text = String::from_utf8_lossy(&bytes);
    text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}
