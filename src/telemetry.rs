//! Logging: to the journal when systemd listens there, else to standard error. Secrets never reach it: their type has no Debug.

use std::io::{self, IsTerminal, Write};

use tracing_subscriber::{EnvFilter, Registry, layer::SubscriberExt};

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
#[error("the log level {given:?} is wrong: {source}; use error, warn, info, debug or trace")]
pub struct LevelError {
    given: String,
    source: tracing_subscriber::filter::ParseError,
}

/// Starts logging at `level` (`error` .. `trace`, or a filter such as `towline::ftps=trace`).
///
/// # Errors
/// When `level` is no level.
pub fn start(level: &str) -> Result<(), LevelError> {
    let filter = EnvFilter::builder()
        .parse(if level.contains(['=', ',']) { level.to_owned() } else { format!("warn,towline={level}") })
        .map_err(|source| LevelError { given: level.to_owned(), source })?;
    let registry = Registry::default().with(filter);
    // systemd says with $JOURNAL_STREAM that standard error goes to the journal; then its own protocol keeps the fields.
    let journal = std::env::var_os("JOURNAL_STREAM").and_then(|_| tracing_journald::layer().ok());
    let result = match journal {
        Some(journal) => {
            let journal = journal.with_priority_mappings(tracing_journald::PriorityMappings {
                error: tracing_journald::Priority::Error,
                warn: tracing_journald::Priority::Warning,
                info: tracing_journald::Priority::Informational,
                debug: tracing_journald::Priority::Debug,
                trace: tracing_journald::Priority::Debug,
            });
            tracing::subscriber::set_global_default(registry.with(journal))
        }
        None => {
            let stderr = tracing_subscriber::fmt::layer()
                .with_writer(Line::new)
                .with_ansi(io::stderr().is_terminal())
                // They would be printed, and a print to a closed standard error panics.
                .log_internal_errors(false)
                .with_target(false);
            tracing::subscriber::set_global_default(registry.with(stderr))
        }
    };
    // A second start in one process (tests) keeps the first.
    drop(result);
    Ok(())
}

/// One message on standard error. On a terminal it takes the place of a progress bar, which is then drawn again below.
struct Line {
    terminal: bool,
}

impl Line {
    fn new() -> Self {
        Self { terminal: io::stderr().is_terminal() }
    }
}

impl Write for Line {
    fn write(&mut self, message: &[u8]) -> io::Result<usize> {
        let mut stderr = io::stderr().lock();
        if self.terminal {
            stderr.write_all(b"\r\x1b[2K")?;
        }
        stderr.write_all(message)?;
        Ok(message.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}
