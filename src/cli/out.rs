//! Standard output, with failures that can be told from those of anything else: a reader that went away is no failure.

use std::{
    error::Error,
    io::{self, Write},
};

/// Standard output.
pub(crate) struct Out(io::Stdout);

/// What was to be printed could not be.
#[derive(Debug, thiserror::Error)]
#[error("cannot write the output")]
struct OutputError(#[source] io::Error);

impl Out {
    pub(crate) fn new() -> Self {
        Self(io::stdout())
    }
}

/// Whether `error` says that nobody reads our output any more.
pub(crate) fn is_closed_pipe(error: &(dyn Error + 'static)) -> bool {
    let error = error.downcast_ref::<io::Error>().filter(|e| e.kind() == io::ErrorKind::BrokenPipe);
    error.and_then(io::Error::get_ref).and_then(|inner| inner.downcast_ref::<OutputError>()).is_some()
}

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes).map_err(mark)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush().map_err(mark)
    }
}

fn mark(error: io::Error) -> io::Error {
    io::Error::new(error.kind(), OutputError(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_output_counts() {
        let broken = || io::Error::from(io::ErrorKind::BrokenPipe);
        assert!(is_closed_pipe(&mark(broken())));
        assert!(!is_closed_pipe(&broken()), "a broken connection is a failure");
        assert!(!is_closed_pipe(&mark(io::ErrorKind::StorageFull.into())), "a full disk is a failure");
    }
}
