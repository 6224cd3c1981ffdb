//! A conversation on a terminal: a question, a line for an answer, and a signal that ends it at any moment. Where nobody is to be
//! asked, what would be asked is said to be missing. Knows nothing of what it asks about.

use std::{
    io::{self, IsTerminal as _, Write as _},
    os::fd::AsFd as _,
};

use rustix::{
    io::{Errno, read},
    termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr},
};
use zeroize::Zeroizing;

use crate::cli::{Exit, Failure, signals::Signals};

/// The longest line, in bytes: more than a terminal gives at once.
const MAX_LINE: usize = 8192;

/// Who asks.
pub(super) struct Ask {
    signals: Signals,
    /// Whether there is somebody to ask.
    pub(super) somebody: bool,
}

impl Ask {
    /// `quiet` asks nobody; nor is anybody asked where there is no terminal.
    pub(super) fn new(quiet: bool) -> Result<Self, Failure> {
        Ok(Self { signals: Signals::new()?, somebody: !quiet && io::stdin().is_terminal() })
    }

    /// An answer for which `fit` holds, asked for until there is one; an empty line is `default`. `flag` says how to give it without
    /// being asked.
    pub(super) async fn value<T>(
        &mut self,
        question: &str,
        default: Option<&str>,
        flag: &str,
        fit: impl Fn(&str) -> Result<T, String>,
    ) -> Result<T, Failure> {
        self.needs(question, flag)?;
        loop {
            let shown = default.map(|default| format!(" [{default}]")).unwrap_or_default();
            let line = self.line(&format!("{question}{shown}: "), false).await?;
            let answer = String::from_utf8_lossy(&line);
            let answer = match (answer.trim(), default) {
                ("", Some(default)) => default,
                (answer, _) => answer,
            };
            match fit(answer) {
                Ok(value) => return Ok(value),
                Err(expected) => say(&format!("  expected {expected}\n")),
            }
        }
    }

    /// Yes or no; an empty line is no.
    pub(super) async fn yes(&mut self, question: &str) -> Result<bool, Failure> {
        loop {
            let line = self.line(&format!("{question} [y/N] "), false).await?;
            match line.to_ascii_lowercase().trim_ascii() {
                b"y" | b"yes" => return Ok(true),
                b"" | b"n" | b"no" => return Ok(false),
                _ => say("  y or n\n"),
            }
        }
    }

    /// A line that is not shown.
    pub(super) async fn hidden(&mut self, question: &str, flag: &str) -> Result<Zeroizing<Vec<u8>>, Failure> {
        self.needs(question, flag)?;
        self.line(&format!("{question}: "), true).await
    }

    /// A line of standard input, without a question; not shown, should that be a terminal.
    pub(super) async fn piped(&mut self) -> Result<Zeroizing<Vec<u8>>, Failure> {
        self.line("", io::stdin().is_terminal()).await
    }

    /// Does `work`, unless a signal comes first: then it is dropped where it is.
    pub(super) async fn unless_interrupted<T>(&mut self, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
        tokio::select! {
            biased;
            () = self.signals.received() => Err(interrupted()),
            done = work => done,
        }
    }

    fn needs(&self, question: &str, flag: &str) -> Result<(), Failure> {
        if self.somebody {
            return Ok(());
        }
        let question = question.to_lowercase();
        Err(Failure::said(Exit::Usage, format_args!("nobody is there to be asked for: {question}"))
            .with_hint(Some(format!("say it with {flag}"))))
    }

    async fn line(&mut self, question: &str, hidden: bool) -> Result<Zeroizing<Vec<u8>>, Failure> {
        // Before the question: what is typed behind it must not be shown.
        let echo = hidden.then(Echo::off).transpose()?;
        say(question);
        let reading = tokio::task::spawn_blocking(read_line);
        let line = tokio::select! {
            biased;
            () = self.signals.received() => None,
            line = reading => Some(line.map_err(Failure::failed)?),
        };
        drop(echo);
        if hidden || line.is_none() {
            say("\n");
        }
        match line {
            None => Err(interrupted()),
            Some(Ok(line)) => Ok(line),
            Some(Err(e)) if e.kind() == io::ErrorKind::UnexpectedEof && !question.is_empty() => {
                Err(Failure::said(Exit::Failed, "there is no answer: standard input has ended; nothing was written"))
            }
            Some(Err(e)) => Err(Failure::failed(anyhow::Error::new(e).context("cannot read standard input"))),
        }
    }
}

fn interrupted() -> Failure {
    Failure::said(Exit::Failed, "interrupted; nothing was written")
}

/// Questions go to standard error: standard output is for results. Whoever cannot be asked will not answer.
pub(super) fn say(words: &str) {
    let _ = io::stderr().write_all(words.as_bytes());
}

/// Reads one line without its break, byte by byte: nothing behind it is taken, and nothing of it is left in a buffer elsewhere.
fn read_line() -> io::Result<Zeroizing<Vec<u8>>> {
    let stdin = io::stdin();
    let mut line = Zeroizing::new(Vec::with_capacity(MAX_LINE));
    let mut byte = Zeroizing::new([0]);
    loop {
        match read(stdin.as_fd(), byte.as_mut_slice()) {
            Ok(0) if line.is_empty() => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(0) => return Ok(line),
            Ok(_) if byte[0] == b'\n' => return Ok(line),
            Ok(_) if line.len() == MAX_LINE => return Err(io::Error::new(io::ErrorKind::InvalidData, "the line is too long")),
            Ok(_) => line.push(byte[0]),
            Err(Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
    }
}

/// A terminal that does not show what is typed, until this goes.
struct Echo(Termios);

impl Echo {
    fn off() -> io::Result<Self> {
        let stdin = io::stdin();
        let before = tcgetattr(stdin.as_fd())?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        tcsetattr(stdin.as_fd(), OptionalActions::Now, &silent)?;
        Ok(Self(before))
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        let _ = tcsetattr(io::stdin().as_fd(), OptionalActions::Now, &self.0);
    }
}
