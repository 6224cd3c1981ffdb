//! Downloads, and the modification time of a file. A download that is not whole is an error, never a short file.

use bytes::Bytes;
use tokio::sync::mpsc;

use super::{Client, refusal};
use crate::ftps::{
    data,
    dial::Dial,
    error::Error,
    proto::{Command, Extra, Pathname, time},
};

impl<D: Dial> Client<D> {
    /// Reads the file `path`, which is said to have `size` bytes, into `into`. Done means: just as many came, TLS was closed in
    /// order, and the server's last reply is positive. After an error what went into `into` is worth nothing.
    ///
    /// # Errors
    /// As the server says, or a wait ran out, or a connection broke; [`Error::OtherSize`]; [`Error::Abandoned`] when nobody
    /// receives any more.
    pub async fn fetch(&mut self, path: &Pathname, size: u64, into: &mpsc::Sender<Bytes>) -> Result<(), Error> {
        let command = Command::Retr(path.clone());
        let mut refusals = 0;
        loop {
            self.choose_tls().await?;
            let before = self.connection.context.tickets_received();
            let mut came = 0;
            match data::download(&self.endpoint, &mut self.connection, &command, size, into, &mut came).await {
                Ok(()) => return Ok(()),
                // What came cannot be taken back.
                Err(error) if came > 0 => return Err(error),
                Err(error) => self.meet(error, before, &mut refusals)?,
            }
        }
    }

    /// When a file was last modified, in seconds since the Unix epoch (MDTM, RFC 3659 §3); `None` where the server does not
    /// say.
    ///
    /// # Errors
    /// Only when the connection is lost.
    pub async fn modified(&mut self, path: &Pathname) -> Result<Option<i64>, Error> {
        let command = Command::Extra(Extra::Modified(path.clone()));
        let reply = self.command(&command).await?;
        if reply.code == 421 {
            return Err(refusal(command.verb(), reply));
        }
        let told = reply.lines.first().filter(|_| reply.code == 213);
        Ok(told.and_then(|line| time::parse(line.trim_ascii())))
    }
}
