//! One file there and away again, before there is a mirror: a put and a removal by the very code that mirrors, so that what would stop the
//! first run is found while somebody is looking. It knows no state and promises nothing in one; what it could not take away, it tells.

use std::{io, sync::Arc};

use super::{
    drift::{Care, Drift},
    siblings::Digests,
    worker::{self, Report},
};
use crate::{
    model::{Done, Entry, Job, JobId, Operation, Outcome, Problem, Reason, RelPath, UnixMillis, Versions},
    remote::{Class, Remote, RemoteError, Session},
    scan::{Place, read::open_file},
};

/// Which step of a rehearsal failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// The login, and the directory on the server.
    Enter,
    /// To read the file here.
    Read,
    /// To send it under a temporary name, prove its size, and rename it.
    Put,
    /// To remove it again.
    Remove,
}

/// Why a file did not go there and away again.
#[derive(Debug, thiserror::Error)]
#[error("{words}")]
pub struct RehearsalError {
    /// Where it stopped.
    pub act: Act,
    /// What it means.
    pub class: Class,
    /// What happened, in words.
    pub words: String,
    /// What an operator can do, where the failure itself knows.
    pub hint: Option<&'static str>,
    /// What may be left on the server.
    pub left: Vec<RelPath>,
}

/// Sends the file `path` of `place` by way of `temp`, as a mirror to `remote` would, and removes it again.
///
/// # Errors
/// What stopped it. Nothing is left on the server then, but what the error names.
pub async fn rehearse<R: Remote>(
    remote: &R,
    place: &Place,
    path: &RelPath,
    temp: &RelPath,
    now: UnixMillis,
) -> Result<(), RehearsalError> {
    let print = place.open().map_err(io::Error::other).and_then(|root| {
        let file = open_file(&root, path).map_err(io::Error::other)?;
        file.fingerprint()
    });
    let print = print.map_err(|e| failed(Act::Read, &Problem::new(Reason::Unreadable, e), None, Vec::new()))?;
    let mut session = remote.connect().await.map_err(|e| of_remote(Act::Enter, &e))?;
    let mut care = Care {
        place: place.clone(),
        digests: Digests::default(),
        abilities: remote.abilities(),
        drift: Drift::KeepRemote,
        recorded: vec![None],
        former: None,
        witnesses: Vec::new(),
        in_place: false,
        now,
        versions: Versions::Never,
        goes_on: false,
        stages: false,
    };
    let put = Operation::Put { path: path.clone(), print, equal_to: None, mode: None, like: None };
    let put = Job { id: JobId(1), operation: put, temp: Some(temp.clone()) };
    let report = worker::run(&mut session, &put, &care, Arc::default()).await;
    let (print, digest) = match report.outcome {
        Outcome::Done(Done::Holds { print, digest, .. }) => (print, digest),
        _ => return Err(cleared(remote, session, &put, Act::Put, report).await),
    };
    care.recorded = vec![Some(Entry::file(print, Some(digest)))];
    let removal = Job { id: JobId(2), operation: Operation::RemoveFile { path: path.clone() }, temp: None };
    let report = worker::run(&mut session, &removal, &care, Arc::default()).await;
    match report.outcome {
        Outcome::Done(_) => {
            session.close().await;
            Ok(())
        }
        _ => Err(cleared(remote, session, &removal, Act::Remove, report).await),
    }
}

/// The failure of `job`, when what it may have left was taken away, as far as that goes: by its session, or a fresh one.
async fn cleared<R: Remote>(remote: &R, session: R::Session, job: &Job, act: Act, report: Report) -> RehearsalError {
    let Report { outcome, trouble, .. } = report;
    let (problem, doubt) = match outcome {
        Outcome::Failed(problem) => (problem, false),
        Outcome::InDoubt(problem) => (problem, true),
        Outcome::Done(_) | Outcome::Untouched => (Problem::new(Reason::Connection, "it was not begun"), false),
    };
    let lives = trouble.as_ref().is_none_or(RemoteError::session_survives);
    let path = job.operation.path();
    let mut left = Vec::new();
    if doubt || act == Act::Remove {
        let mut session = if lives { Some(session) } else { remote.connect().await.ok() };
        for name in job.temp.iter().chain([path]) {
            let gone = match &mut session {
                Some(session) => session.remove_file(name).await.is_ok(),
                None => false,
            };
            if !gone {
                left.push(name.clone());
            }
        }
        if let Some(session) = session {
            session.close().await;
        }
    } else if lives {
        session.close().await;
    }
    failed(act, &problem, trouble.as_ref(), left)
}

fn of_remote(act: Act, error: &RemoteError) -> RehearsalError {
    RehearsalError { act, class: error.class, words: error.to_string(), hint: error.hint, left: Vec::new() }
}

fn failed(act: Act, problem: &Problem, trouble: Option<&RemoteError>, left: Vec<RelPath>) -> RehearsalError {
    let class = trouble.map_or(class(problem.reason), |trouble| trouble.class);
    RehearsalError { act, class, words: problem.to_string(), hint: trouble.and_then(|trouble| trouble.hint), left }
}

/// What a problem of the one file means for the mirror.
fn class(reason: Reason) -> Class {
    match reason {
        Reason::Full => Class::Full,
        Reason::Connection => Class::Transient,
        Reason::Proof => Class::Protocol,
        Reason::Name | Reason::Altered => Class::Name,
        _ => Class::Refused,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        clock,
        remote::memory::{Fault, Faults, MemoryRemote, Options, Primitive},
        scan::View,
    };

    fn name(text: &str) -> RelPath {
        RelPath::new(text).expect("a path")
    }

    /// A rehearsal with this fault at this call, and what it left.
    async fn tried(number: u64, fault: Fault) -> (Result<(), RehearsalError>, MemoryRemote) {
        let remote = MemoryRemote::new(Options::default());
        remote.set_faults(Faults::at(number, fault));
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::write(dir.path().join("test"), "one line\n").expect("a file");
        let place = Place { path: dir.path().to_owned(), view: View::default() };
        (rehearse(&remote, &place, &name("test"), &name(".towline-temp"), clock::now()).await, remote)
    }

    #[tokio::test]
    async fn a_file_goes_there_and_away() {
        let (result, remote) = tried(u64::MAX, Fault::None).await;
        result.expect("no fault");
        let done: Vec<_> = remote.log().iter().filter(|call| call.done).map(|call| call.primitive).collect();
        for primitive in [Primitive::Store, Primitive::Size, Primitive::Rename, Primitive::RemoveFile] {
            assert!(done.contains(&primitive), "{primitive:?}: {done:?}");
        }
        assert!(remote.tree().entries().is_empty());
        assert_eq!(remote.sessions(), 0);
    }

    /// Whatever fails, and however: nothing is left but what is told.
    #[tokio::test]
    async fn what_is_left_is_told() {
        let calls = tried(u64::MAX, Fault::None).await.1.log().len() as u64;
        let mut failures = 0;
        for fault in
            [Fault::Fail(Class::Refused), Fault::Fail(Class::Full), Fault::Fail(Class::Transient), Fault::LostReply, Fault::Cut]
        {
            for number in 0..calls {
                let (result, remote) = tried(number, fault).await;
                let left: Vec<_> = remote.tree().entries().into_keys().collect();
                let told = match result {
                    Ok(()) => Vec::new(),
                    Err(e) => {
                        failures += 1;
                        e.left
                    }
                };
                assert!(left.iter().all(|name| told.contains(name)), "{fault:?} at {number}: {left:?}, told {told:?}");
            }
        }
        assert!(failures > 15, "{failures}");
    }

    #[tokio::test]
    async fn what_it_means_is_told() {
        let (result, _) = tried(0, Fault::Fail(Class::Auth)).await;
        assert_eq!(result.map_err(|e| (e.act, e.class)), Err((Act::Enter, Class::Auth)));
        let store =
            tried(u64::MAX, Fault::None).await.1.log().iter().find(|call| call.primitive == Primitive::Store).map(|c| c.number);
        let (result, _) = tried(store.expect("a store"), Fault::Fail(Class::Full)).await;
        assert_eq!(result.map_err(|e| (e.act, e.class)), Err((Act::Put, Class::Full)));
    }
}
