//! Many changes at once, in the server's words. What goes out together is decided in the engine.

use super::FtpsSession;
use crate::{
    ftps::{self, Dial},
    remote::{Change, RemoteError},
};

/// Makes `changes` in their order. A name that cannot be sent is the failure of its own change alone.
pub(super) async fn all<D: Dial>(session: &mut FtpsSession<D>, changes: &[Change<'_>]) -> Vec<Result<bool, RemoteError>> {
    let named: Vec<_> = changes.iter().map(|change| named(session, *change)).collect();
    let sendable: Vec<ftps::Change> = named.iter().filter_map(|named| named.as_ref().ok().cloned()).collect();
    let mut made = session.client.change_all(&sendable).await.into_iter();
    let mut results = Vec::with_capacity(changes.len());
    for named in named {
        let result = match named {
            Err(e) => Err(e),
            Ok(_) => match made.next() {
                Some(result) => result.map_err(RemoteError::from),
                None => break,
            },
        };
        let ends = result.as_ref().is_err_and(|e| !e.session_survives());
        results.push(result);
        if ends {
            break;
        }
    }
    results
}

fn named<D: Dial>(session: &FtpsSession<D>, change: Change<'_>) -> Result<ftps::Change, RemoteError> {
    Ok(match change {
        Change::Rename(from, to) => ftps::Change::Rename(session.at(from)?, session.at(to)?),
        Change::RemoveFile(path) => ftps::Change::RemoveFile(session.at(path)?),
        Change::RemoveDir(path) => ftps::Change::RemoveDir(session.at(path)?),
        Change::MakeDir(path) => ftps::Change::MakeDir(session.at(path)?),
        Change::SetModified(path, seconds) => ftps::Change::SetModified(session.at(path)?, seconds),
        Change::SetMode(path, mode) => ftps::Change::SetMode(session.at(path)?, mode.bits()),
    })
}
