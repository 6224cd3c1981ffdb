//! [`Line`]: a session that is opened when it is needed, and anew when it was lost. What is asked over it must be harmless twice.

use std::time::Duration;

use tokio::time::sleep;

use crate::remote::{Class, Remote, RemoteError, Session};

/// How often one question is asked.
const TRIES: u32 = 3;
/// How long is waited before it is asked once more; longer each time.
const PAUSE: Duration = Duration::from_secs(1);

/// A way to ask a server.
pub(in crate::mirror) struct Line<'r, R: Remote> {
    remote: &'r R,
    session: Option<R::Session>,
}

impl<'r, R: Remote> Line<'r, R> {
    pub(in crate::mirror) fn new(remote: &'r R) -> Self {
        Self { remote, session: None }
    }

    pub(in crate::mirror) fn remote(&self) -> &'r R {
        self.remote
    }

    /// Asks; where the network failed, or all places were taken, a few times.
    pub(in crate::mirror) async fn ask<T>(
        &mut self,
        mut verb: impl AsyncFnMut(&mut R::Session) -> Result<T, RemoteError>,
    ) -> Result<T, RemoteError> {
        let mut tries = 0;
        loop {
            tries += 1;
            let error = match self.attempt(&mut verb).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            if !matches!(error.class, Class::Transient | Class::Busy) || tries == TRIES {
                return Err(error);
            }
            tracing::info!("asking the server again: {error}");
            sleep(PAUSE * tries).await;
        }
    }

    /// As [`Self::ask`], but what the server does not do for this path is no error of the line: only one without any answer is.
    pub(in crate::mirror) async fn try_ask<T>(
        &mut self,
        verb: impl AsyncFnMut(&mut R::Session) -> Result<T, RemoteError>,
    ) -> Result<Result<T, RemoteError>, RemoteError> {
        match self.ask(verb).await {
            Ok(answer) => Ok(Ok(answer)),
            Err(error) => {
                self.ask(async |session: &mut R::Session| session.ping().await).await?;
                Ok(Err(error))
            }
        }
    }

    /// Says good-bye.
    pub(in crate::mirror) async fn close(self) {
        if let Some(session) = self.session {
            session.close().await;
        }
    }

    async fn attempt<T>(
        &mut self,
        verb: &mut impl AsyncFnMut(&mut R::Session) -> Result<T, RemoteError>,
    ) -> Result<T, RemoteError> {
        if self.session.as_ref().is_some_and(Session::is_stale)
            && let Some(session) = self.session.take()
        {
            session.close().await;
        }
        let session = match &mut self.session {
            Some(session) => session,
            none => none.insert(self.remote.connect().await?),
        };
        let result = verb(session).await;
        if result.as_ref().is_err_and(|error| !error.session_survives()) {
            self.session = None;
        }
        result
    }
}
