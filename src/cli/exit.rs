//! How the program ends: exit codes, and failures with the advice that goes with them.

use std::{fmt, io, path::Path, process::ExitCode};

use towline::{index::IndexError, remote::Class};

use super::out;

/// The exit codes (those from 64 on are `sysexits.h`'s).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Exit {
    Done = 0,
    Failed = 1,
    Usage = 2,
    SomeFailed = 3,
    Unavailable = 69,
    /// Somebody paused it: nothing was tried, and nothing failed (`EX_TEMPFAIL`).
    Paused = 75,
    Protocol = 76,
    Credentials = 77,
    Config = 78,
}

impl Exit {
    /// The code for a failure of the remote.
    pub(crate) fn of(class: Class) -> Self {
        match class {
            Class::Auth => Self::Credentials,
            Class::Tls | Class::Protocol => Self::Protocol,
            Class::Transient | Class::Busy => Self::Unavailable,
            Class::Full => Self::SomeFailed,
            // Of the link, not of a path: the mirror's own directory was refused, so nothing could be done.
            Class::Refused | Class::NotEmpty | Class::Name => Self::Failed,
        }
    }

    /// What both come to, the worse one: that something was paused is told only where nothing else is wrong.
    pub(crate) fn with(self, other: Self) -> Self {
        match (self, other) {
            (Self::Paused, Self::Done) | (Self::Done, Self::Paused) => Self::Paused,
            (Self::Paused, other) | (other, Self::Paused) => other,
            (one, other) => one.max(other),
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a verb did not do what it was asked.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    error: anyhow::Error,
    hint: Option<String>,
}

impl Failure {
    pub(crate) fn new(exit: Exit, error: impl Into<anyhow::Error>) -> Self {
        Self { exit, error: error.into(), hint: None }
    }

    pub(crate) fn failed(error: impl Into<anyhow::Error>) -> Self {
        Self::new(Exit::Failed, error)
    }

    pub(crate) fn usage(error: impl Into<anyhow::Error>) -> Self {
        Self::new(Exit::Usage, error)
    }

    pub(crate) fn config(error: impl Into<anyhow::Error>) -> Self {
        Self::new(Exit::Config, error)
    }

    /// The state in `file` cannot be used.
    pub(crate) fn state(file: &Path, error: IndexError) -> Self {
        let hint = error.hint();
        let error = anyhow::Error::new(error).context(format!("cannot use the state in {}", file.display()));
        Self::failed(error).with_hint(hint)
    }

    pub(crate) fn said(exit: Exit, words: impl fmt::Display) -> Self {
        Self::new(exit, anyhow::anyhow!("{words}"))
    }

    pub(crate) fn with_hint(mut self, hint: Option<impl Into<String>>) -> Self {
        self.hint = hint.map(Into::into);
        self
    }

    /// Whether somebody stopped reading what we print: no failure of ours.
    pub(crate) fn is_closed_pipe(&self) -> bool {
        self.error.chain().any(out::is_closed_pipe)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::failed(error)
    }
}

impl Failure {
    /// For people, where there are several mirrors.
    pub(crate) fn of(&self, mirror: &str) -> String {
        self.to_string().replacen("towline: ", &format!("towline: {mirror}: "), 1)
    }

    /// What to do about it.
    pub(crate) fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// What it was.
    pub(crate) fn error(&self) -> &anyhow::Error {
        &self.error
    }

    /// What happened, on one line.
    pub(crate) fn cause(&self) -> String {
        let mut shown = String::new();
        for cause in self.error.chain() {
            let cause = cause.to_string();
            // Many errors of libraries repeat their source in their own text.
            if !shown.contains(&cause) {
                if !shown.is_empty() {
                    shown.push_str(": ");
                }
                shown.push_str(&cause);
            }
        }
        shown
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "towline: {}", self.cause())?;
        match &self.hint {
            Some(hint) => writeln!(f, "  hint: {hint}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_failed_is_worse_than_what_was_paused() {
        let all =
            [Exit::Failed, Exit::Usage, Exit::SomeFailed, Exit::Unavailable, Exit::Protocol, Exit::Credentials, Exit::Config];
        for failed in all {
            assert_eq!((Exit::Paused.with(failed), failed.with(Exit::Paused)), (failed, failed));
        }
        assert_eq!((Exit::Paused.with(Exit::Done), Exit::Done.with(Exit::Paused)), (Exit::Paused, Exit::Paused));
        assert_eq!(Exit::Paused.with(Exit::Paused), Exit::Paused);
        assert_eq!(Exit::SomeFailed.with(Exit::Unavailable), Exit::Unavailable);
        assert_eq!(Exit::Done.with(Exit::Done), Exit::Done);
    }
}
