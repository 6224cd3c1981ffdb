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

/// Makes the changes of each of `groups` in turn: in flights, if the server answers in order; else a refusal ends its group.
pub(super) async fn in_turn<D: Dial>(
    session: &mut FtpsSession<D>,
    groups: &[Vec<Change<'_>>],
) -> Vec<Vec<Result<bool, RemoteError>>> {
    let mut results = Vec::with_capacity(groups.len());
    if session.client.answers_in_order() {
        let changes: Vec<Change<'_>> = groups.iter().flatten().copied().collect();
        let mut made = all(session, &changes).await.into_iter().peekable();
        for group in groups {
            if made.peek().is_none() {
                break;
            }
            results.push(made.by_ref().take(group.len()).collect());
        }
        return results;
    }
    for group in groups {
        let mut own = Vec::with_capacity(group.len());
        for change in group {
            own.extend(all(session, &[*change]).await);
            if own.last().is_none_or(Result::is_err) {
                break;
            }
        }
        let is_dead = own.last().is_none_or(|last| last.as_ref().is_err_and(|e| !e.session_survives()));
        results.push(own);
        if is_dead {
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
