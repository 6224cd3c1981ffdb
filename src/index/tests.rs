//! The index's verbs from outside, one child per room; the property test is in `model`.

mod boot;
mod chunks;
mod dirs;
mod files;
mod fold;
mod history;
mod jobs;
mod ledger;
mod likes;
mod model;
mod moves;
mod observe;
mod proof;
mod queue;
mod staging;
mod trash;

use tempfile::TempDir;

use super::*;
use crate::model::{Done, How, Kind, Outcome, Problem, ProofWay, Reason};

/// An index in a directory of its own, without the wait for the disk.
struct Fresh {
    index: Index,
    dir: TempDir,
}

impl Fresh {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let index = Index::open(&dir.path().join("index.db"), at(0)).unwrap();
        index.db.execute_batch("PRAGMA synchronous = OFF").unwrap();
        Self { index, dir }
    }

    fn reopen(mut self) -> Self {
        let file = self.index.file.clone();
        drop(self.index);
        self.index = Index::open(&file, at(0)).unwrap();
        self.index.db.execute_batch("PRAGMA synchronous = OFF").unwrap();
        self
    }

    /// Notes that scans saw these.
    fn sees(&mut self, found: &[(&str, Entry)]) -> usize {
        let found: Vec<_> = found.iter().map(|(path, entry)| Observation::Is(p(path), *entry)).collect();
        self.index.observe(&found, at(1)).unwrap().changed
    }

    /// Notes that these are on the server and here alike.
    fn holds(&mut self, entries: &[(&str, Entry)]) {
        self.sees(entries);
        let entries: Vec<_> = entries.iter().map(|(path, entry)| (p(path), *entry)).collect();
        self.index.record(&entries, at(1)).unwrap();
    }

    fn loses(&mut self, paths: &[&str]) -> usize {
        let gone: Vec<_> = paths.iter().map(|path| Observation::Gone(p(path))).collect();
        self.index.observe(&gone, at(2)).unwrap().changed
    }

    fn begin(&mut self, operation: Operation) -> Job {
        self.index.begin(&[operation], at(3)).unwrap().remove(0)
    }

    fn settle(&mut self, job: &Job, outcome: Outcome, retry_at: Option<UnixMillis>) {
        self.index.settle(&[Settlement { job: job.id, outcome, retry_at }], at(4)).unwrap();
    }

    fn pending(&self) -> Vec<String> {
        names(&self.index.window(None, 1000, at(5)).unwrap().rows)
    }

    fn both(&self, path: &str) -> (Option<Entry>, Option<Entry>) {
        rows::get(&self.index.db, &p(path)).unwrap().map_or((None, None), |held| (held.observed, held.recorded))
    }
}

fn p(path: &str) -> RelPath {
    RelPath::new(path).unwrap()
}

fn at(millis: i64) -> UnixMillis {
    UnixMillis(millis)
}

fn print(size: u64, inode: u64) -> Fingerprint {
    Fingerprint { size, mtime_ns: 10, ctime_ns: 20, inode }
}

fn file(size: u64, inode: u64) -> Entry {
    Entry::file(print(size, inode), None)
}

fn read(size: u64, inode: u64, content: u8) -> Entry {
    Entry::file(print(size, inode), Some(Digest([content; 32])))
}

fn dir(inode: u64) -> Entry {
    Entry::dir(inode)
}

fn put(path: &str, size: u64, inode: u64) -> Operation {
    Operation::Put { path: p(path), print: print(size, inode), equal_to: None, mode: None, like: None }
}

fn sent(size: u64, inode: u64, content: u8) -> Outcome {
    Outcome::Done(Done::Holds { print: print(size, inode), digest: Digest([content; 32]), sent: size, how: How::Sent })
}

fn refused() -> Problem {
    Problem::new(Reason::Refused, "550 no")
}

fn names(rows: &[Row]) -> Vec<String> {
    rows.iter().map(|row| row.path.to_string()).collect()
}
