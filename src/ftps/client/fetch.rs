//! Downloads. A download that is not whole is an error, never a short file.

use bytes::Bytes;
use tokio::sync::mpsc;

use super::Client;
use crate::ftps::{
    data,
    dial::Dial,
    error::Error,
    proto::{Command, Pathname},
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
}
