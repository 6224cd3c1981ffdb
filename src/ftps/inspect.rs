//! Looking at a server's certificate without trusting it: up to the handshake, and no further. No account is at hand here, so
//! that none can be sent.

use tokio::time::timeout;

use super::{
    AccountError, Credentials, Endpoint,
    control::Control,
    dial::{Dial, Target},
    error::{Error, Wait},
    proto::login::{Login, Step},
    tls::{Presented, expiry_warning},
};

impl<D: Dial> Endpoint<D> {
    /// What the server presents, whether or not it is to be trusted.
    ///
    /// # Errors
    /// No connection, no encryption, or no certificate.
    pub async fn inspect(&self) -> Result<Presented, Error> {
        let dialed = self.dial.dial(Target::Control).await;
        let dialed = dialed.map_err(|source| Error::Connect { to: self.dial.name(), source })?;
        let stream = self.ask_for_tls(dialed.stream).await?;
        let inspected = timeout(self.timeouts.reply, self.tls.inspect(stream));
        Ok(inspected.await.map_err(|_| Error::Timeout(Wait::Handshake))??)
    }

    /// Warnings of certificates that expire within 30 days of `now` (Unix seconds): the server's, as the latest login saw it,
    /// and ours.
    pub fn expiry_warnings(&self, now: i64) -> Vec<String> {
        self.tls.certificates().filter_map(|(whose, not_after)| expiry_warning(whose, not_after, now)).collect()
    }

    async fn ask_for_tls(&self, stream: D::Stream) -> Result<D::Stream, Error> {
        let failed = |source| Error::Login { source, others: false };
        // It ends before the account is due.
        let nobody = Credentials::new("anonymous", "anonymous").map_err(|(AccountError::User(e) | AccountError::Password(e))| e)?;
        let mut login = Login::new(nobody);
        let mut clear = Control::new(stream, self.timeouts);
        let mut reply = clear.greeting().await?;
        loop {
            reply = match login.on_reply(reply).map_err(failed)? {
                Step::Send(command) => clear.command(&command).await?,
                Step::Wait => clear.greeting().await?,
                Step::StartTls => return clear.into_tls(),
                Step::Ready(_) => return Err(Error::OutOfStep),
            };
        }
    }
}
