//! Looking at a server's certificate without trusting it: up to the handshake, and no further. No account is at hand here, so
//! that none can be sent.

use tokio::time::timeout;

use super::{
    AccountError, Credentials, Endpoint,
    dial::{Dial, Target},
    error::{Error, Wait},
    proto::login::{Login, Mode},
    tls::{Presented, expiry_warning},
};

impl<D: Dial> Endpoint<D> {
    /// What the server presents, whether or not it is to be trusted.
    ///
    /// # Errors
    /// No connection, no encryption, or no certificate.
    pub async fn inspect(&self) -> Result<Presented, Error> {
        let dialed = self.dial.dial(Target::Control).await;
        let dialed = dialed.map_err(|source| Error::of_dial(self.dial.name(), source))?;
        let stream = match self.mode() {
            Mode::Explicit => {
                // It ends before the account is due.
                let nobody = Credentials::new("anonymous", "anonymous")
                    .map_err(|(AccountError::User(e) | AccountError::Password(e))| e)?;
                self.ask_for_tls(dialed.stream, &mut Login::new(nobody, Mode::Explicit), &self.up()).await?.0
            }
            Mode::Implicit => dialed.stream,
        };
        let inspected = timeout(self.timeouts.reply, self.tls.inspect(stream));
        Ok(inspected.await.map_err(|_| Error::Timeout(Wait::Handshake))??)
    }

    /// Warnings of certificates that expire within 30 days of `now` (Unix seconds): the server's, as the latest login saw it,
    /// and ours.
    pub fn expiry_warnings(&self, now: i64) -> Vec<String> {
        self.tls.certificates().filter_map(|(whose, not_after)| expiry_warning(whose, not_after, now)).collect()
    }
}
