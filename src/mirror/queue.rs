//! [`Queue`]: what is to be done, in the order in which it comes about, as it is told. Pure: from what the index holds and what the
//! engine is about.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use crate::{
    index::{IndexError, PathProblem, Queued, Reader, Tally},
    mirror::status::{InFlight, PathStatus},
    model::{Entry, Job, RelPath, UnixMillis},
};

/// What is to be done on the server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Queue {
    /// The mirror's name.
    pub mirror: String,
    /// Jobs that run now.
    pub in_flight: Vec<InFlight>,
    /// What is promised and comes next, in this order.
    pub next: Vec<Waits>,
    /// What is planned when these are done; by path. Removals come last, and may wait for `approve`.
    pub pending: Vec<Waits>,
    /// What failed: it waits for its time, or is parked.
    pub problems: Vec<PathStatus>,
    /// How much there is in all; lists may be cut off.
    pub tally: Tally,
}

/// Something that waits for its turn.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waits {
    /// What is to be done, as far as that is planned: a `put` may turn out to be a rename.
    pub verb: String,
    /// The path below the mirror's root.
    pub path: String,
    /// A file's size in bytes.
    pub size: Option<u64>,
    /// Since when it is pending.
    pub since: Option<UnixMillis>,
}

impl From<&Queued> for Waits {
    fn from(Queued { path, observed, recorded, since }: &Queued) -> Self {
        let (verb, size) = match (observed, recorded) {
            (Some(Entry::File { print, .. }), _) => ("put", Some(print.size)),
            (Some(Entry::Dir { .. }), Some(Entry::Dir { .. })) => ("set permissions of", None),
            (Some(Entry::Dir { .. }), _) => ("make directory", None),
            (Some(Entry::Link { .. }), _) => ("link", None),
            (None, Some(Entry::Dir { .. })) => ("remove directory", None),
            (None, _) => ("remove", None),
        };
        Self { verb: verb.to_owned(), path: path.to_string(), size, since: *since }
    }
}

impl From<PathProblem> for PathStatus {
    fn from(PathProblem { path, problem, attempts, retry_at, .. }: PathProblem) -> Self {
        let (why, hint) = (problem.to_string(), problem.hint().to_owned());
        Self { path: path.to_string(), why, hint, attempts, retry_at }
    }
}

/// What the books hold: jobs that are promised, oldest first, and what is pending with and without a problem.
pub(super) struct Held {
    pub(super) jobs: Vec<Job>,
    pub(super) queued: Vec<Queued>,
    pub(super) problems: Vec<PathProblem>,
    pub(super) tally: Tally,
}

/// The queue, each list with `limit` entries at most.
pub(super) fn queue(mirror: String, mut in_flight: Vec<InFlight>, held: Held, limit: usize) -> Queue {
    let Held { jobs, queued, problems, tally } = held;
    let runs = |job: &Job| {
        let (verb, path) = (job.operation.verb(), job.operation.path().to_string());
        in_flight.iter().any(|running| running.verb == verb && running.path == path)
    };
    let promised = |job: &Job| {
        let InFlight { verb, path, size, .. } = InFlight::of(&job.operation, 0);
        Waits { verb, path, size, since: None }
    };
    let mut next: Vec<Waits> = jobs.iter().filter(|job| !runs(job)).map(promised).collect();
    // What a job is about is not said twice.
    let touched: HashSet<&RelPath> = jobs.iter().flat_map(|job| job.operation.touches()).collect();
    let is_free = |queued: &&Queued| !touched.contains(&queued.path);
    let mut pending: Vec<Waits> = queued.iter().filter(is_free).map(Waits::from).collect();
    in_flight.truncate(limit);
    next.truncate(limit);
    pending.truncate(limit);
    Queue { mirror, in_flight, next, pending, problems: problems.into_iter().take(limit).map(PathStatus::from).collect(), tally }
}

/// The queue of a mirror that does not run, from its books. Blocks.
///
/// # Errors
/// When they cannot be read.
pub fn queue_at_rest(mirror: &str, reader: &Reader, limit: usize, now: UnixMillis) -> Result<Queue, IndexError> {
    let (queued, problems, tally) = (reader.queued(None, limit)?, reader.problems(limit)?, reader.tally(now)?);
    Ok(queue(mirror.to_owned(), Vec::new(), Held { jobs: Vec::new(), queued, problems, tally }, limit))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Fingerprint, JobId, Operation, Problem, Reason};

    fn path(path: &str) -> RelPath {
        RelPath::new(path).unwrap()
    }

    fn file(size: u64) -> Entry {
        Entry::file(Fingerprint { size, ..Fingerprint::default() }, None)
    }

    fn waits(at: &str, observed: Option<Entry>, recorded: Option<Entry>) -> Queued {
        Queued { path: path(at), observed, recorded, since: Some(UnixMillis(3)) }
    }

    #[test]
    fn what_is_to_be_done_is_said_in_verbs() {
        let verb = |observed, recorded| Waits::from(&waits("a", observed, recorded)).verb;
        assert_eq!(verb(Some(file(1)), None), "put");
        assert_eq!(verb(Some(Entry::dir(1)), None), "make directory");
        assert_eq!(verb(None, Some(file(1))), "remove");
        assert_eq!(verb(None, Some(Entry::dir(1))), "remove directory");
        assert_eq!(verb(Some(file(1)), Some(Entry::dir(1))), "put");
    }

    #[test]
    fn everything_is_in_one_list_and_every_list_has_an_end() {
        let put = |at: &str, size| Operation::Put {
            path: path(at),
            print: Fingerprint { size, ..Fingerprint::default() },
            equal_to: None,
            like: None,
            mode: None,
        };
        let job = |id, operation| Job { id: JobId(id), operation, temp: None };
        let jobs = vec![job(1, put("a", 10)), job(2, put("b", 20)), job(3, put("c", 30))];
        let flying = vec![InFlight::of(&jobs[0].operation, 4)];
        let queued = ["a", "b", "c", "d", "e"].map(|at| waits(at, Some(file(40)), None)).to_vec();
        let problem = PathProblem {
            path: path("x"),
            problem: Problem::new(Reason::Refused, "550"),
            attempts: 2,
            retry_at: None,
            since: None,
        };
        let held = || Held {
            jobs: jobs.clone(),
            queued: queued.clone(),
            problems: vec![problem.clone()],
            tally: Tally { pending_files: 6, ..Tally::default() },
        };
        let whole = queue("site".to_owned(), flying.clone(), held(), 10);
        let paths = |list: &[Waits]| list.iter().map(|one| one.path.clone()).collect::<Vec<_>>();
        assert_eq!((whole.in_flight[0].path.as_str(), whole.in_flight[0].sent), ("a", 4));
        assert_eq!((paths(&whole.next), paths(&whole.pending)), (vec!["b".into(), "c".into()], vec!["d".into(), "e".into()]));
        assert_eq!((whole.problems[0].path.as_str(), whole.problems[0].attempts, whole.tally.pending_files), ("x", 2, 6));
        let cut = queue("site".to_owned(), flying, held(), 1);
        assert_eq!((cut.in_flight.len(), cut.next.len(), cut.pending.len(), cut.problems.len()), (1, 1, 1, 1));
    }
}
