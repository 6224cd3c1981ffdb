use std::{fs, path::Path, time::Duration};

use tempfile::TempDir;

use super::*;
use crate::{
    clock,
    index::Index,
    mirror::body,
    model::{Done, Entry, How, JobId, Observation, Operation, Outcome, Settlement, UnixMillis},
    scan::View,
};

/// A directory, and two mirrors of it.
struct Two {
    dir: TempDir,
    siblings: Siblings,
    one: (Index, Digests),
    other: (Index, Digests),
}

impl Two {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("source")).unwrap();
        let siblings = Siblings::default();
        let member = |name: &str| {
            let file = dir.path().join(name);
            (Index::open(&file, clock::now()).unwrap(), siblings.join(file))
        };
        let (one, other) = (member("one.db"), member("other.db"));
        let two = Self { dir, siblings, one, other };
        two.one.1.is_of(Some(two.root()));
        two.other.1.is_of(Some(two.root()));
        two
    }

    fn place(&self) -> Place {
        Place { path: self.dir.path().join("source"), view: View::default() }
    }

    fn root(&self) -> RootIdentity {
        self.place().open().unwrap().identity()
    }

    /// Writes `body`, so long ago that reading it needs no wait.
    fn write(&self, name: &str, body: &str) {
        fs::write(self.dir.path().join("source").join(name), body).unwrap();
        drop(Still::open(&self.place(), &path(name)).unwrap());
    }

    /// The first mirror has sent it.
    fn sent(&mut self, name: &str, how: How) -> Content {
        let content = body::read(&self.place(), &path(name), |_| true).unwrap();
        let Content { print, digest, .. } = content.clone();
        let index = &mut self.one.0;
        index.observe(&[Observation::Is(path(name), Entry::file(print, None))], NOW).unwrap();
        let put = Operation::Put { path: path(name), print, equal_to: None, mode: None, like: None };
        let job = index.begin(&[put], NOW).unwrap().remove(0);
        settle(index, job.id, Outcome::Done(Done::Holds { print, digest, sent: print.size, how }));
        content
    }

    fn find(&self, digests: &Digests, name: &str) -> Result<Content, Unread> {
        digests.find(&self.place(), &path(name), |_| true, || true).map(|content| content.expect("it may be read"))
    }
}

const NOW: UnixMillis = UnixMillis(1_700_000_000_000);

fn settle(index: &mut Index, job: JobId, outcome: Outcome) {
    index.settle(&[Settlement { job, outcome, retry_at: None }], NOW).unwrap();
}

fn path(name: &str) -> RelPath {
    RelPath::new(name).unwrap()
}

fn touch(file: &Path) {
    let time = fs::metadata(file).unwrap().modified().unwrap() + Duration::from_secs(1);
    fs::File::options().append(true).open(file).unwrap().set_modified(time).unwrap();
}

#[test]
fn what_one_has_sent_the_other_does_not_read() {
    let mut two = Two::new();
    two.write("a", "content");
    let sent = two.sent("a", How::Sent);
    assert_eq!(two.find(&two.other.1, "a").unwrap(), sent);
    assert_eq!(two.other.1.counts(), (0, 1));
    // So it is for a mirror that is new, and for one that comes after the first has ended.
    let third = two.siblings.join(two.dir.path().join("third.db"));
    third.is_of(Some(two.root()));
    drop(std::mem::take(&mut two.one.1));
    assert_eq!(two.find(&third, "a").unwrap(), sent);
    assert_eq!(third.counts(), (0, 1));
}

#[test]
fn what_one_has_just_read_the_other_does_not_read() {
    let two = Two::new();
    two.write("a", "content");
    let read = two.find(&two.one.1, "a").unwrap();
    assert_eq!(read.digest.0, *blake3::hash(b"content").as_bytes());
    assert_eq!(two.find(&two.other.1, "a").unwrap(), read);
    assert_eq!((two.one.1.counts(), two.other.1.counts()), ((1, 0), (0, 1)));
    // Touched it is another state, and changed as well.
    touch(&two.dir.path().join("source/a"));
    assert_eq!(two.find(&two.other.1, "a").unwrap().digest, read.digest);
    two.write("a", "CONTENT");
    assert_eq!(two.find(&two.other.1, "a").unwrap().digest.0, *blake3::hash(b"CONTENT").as_bytes());
    assert_eq!(two.find(&two.one.1, "a").unwrap().digest.0, *blake3::hash(b"CONTENT").as_bytes());
    assert_eq!((two.one.1.counts(), two.other.1.counts()), ((1, 1), (2, 1)));
}

#[test]
fn what_was_changed_since_is_read() {
    let mut two = Two::new();
    two.write("a", "content");
    two.sent("a", How::Sent);
    // As long, and with its old time: ctime tells.
    let file = two.dir.path().join("source/a");
    let time = fs::metadata(&file).unwrap().modified().unwrap();
    fs::write(&file, "CONTENT").unwrap();
    fs::File::options().append(true).open(&file).unwrap().set_modified(time).unwrap();
    assert_eq!(two.find(&two.other.1, "a").unwrap().digest.0, *blake3::hash(b"CONTENT").as_bytes());
    assert_eq!(two.other.1.counts(), (1, 0));
}

/// A file that only grew was read in parts, and one that was renamed was not read at all.
#[test]
fn what_was_concluded_is_not_passed_on() {
    let mut two = Two::new();
    two.write("log", "content");
    two.sent("log", How::Appended);
    assert!(two.find(&two.other.1, "log").is_ok());
    two.write("a", "content");
    two.sent("a", How::Sent);
    let source = two.dir.path().join("source");
    fs::rename(source.join("a"), source.join("b")).unwrap();
    let still = Still::open(&two.place(), &path("b")).unwrap();
    let print = *still.print();
    let index = &mut two.one.0;
    index.observe(&[Observation::Gone(path("a")), Observation::Is(path("b"), Entry::file(print, None))], NOW).unwrap();
    let rename = Operation::Rename { from: path("a"), to: path("b"), print, digest: None, mode: None, retime: false };
    let job = index.begin(&[rename], NOW).unwrap().remove(0);
    settle(index, job.id, Outcome::Done(Done::AsPlanned));
    let recorded = index.recorded(&[path("b")]).unwrap();
    assert!(matches!(recorded[..], [Some(Entry::File { print: now, digest: Some(_), .. })] if now == print), "{recorded:?}");
    assert!(two.find(&two.other.1, "b").is_ok());
    assert_eq!(two.other.1.counts(), (2, 0));
}

#[test]
fn another_directory_is_none_of_ours() {
    let mut two = Two::new();
    two.write("a", "content");
    two.sent("a", How::Sent);
    two.one.1.is_of(Some(RootIdentity { filesystem: 1, ..two.root() }));
    assert!(two.find(&two.other.1, "a").is_ok());
    two.one.1.is_of(None);
    assert!(two.find(&two.other.1, "a").is_ok());
    two.one.1.is_of(Some(two.root()));
    // This one's own directory was replaced, and nobody has approved that.
    two.other.1.is_of(None);
    assert!(two.find(&two.other.1, "a").is_ok());
    assert_eq!(two.other.1.counts(), (3, 0));
}

#[test]
fn an_index_that_cannot_be_read_is_no_hindrance() {
    let two = Two::new();
    two.write("a", "content");
    let broken = two.siblings.join(two.dir.path().join("broken.db"));
    broken.is_of(Some(two.root()));
    fs::write(two.dir.path().join("broken.db"), vec![b'x'; 8192]).unwrap();
    let missing = two.siblings.join(two.dir.path().join("missing.db"));
    missing.is_of(Some(two.root()));
    assert!(two.find(&two.other.1, "a").is_ok());
    assert_eq!(two.other.1.counts(), (1, 0));
}

/// While one reads, the others wait for it; one that gives up leaves it to the next.
#[test]
fn what_somebody_is_reading_is_waited_for() {
    let two = Two::new();
    // More than one piece.
    let body = "content".repeat(100_000);
    two.write("a", &body);
    let third = two.siblings.join(two.dir.path().join("third.db"));
    third.is_of(Some(two.root()));
    let (reading, read) = (std::sync::Barrier::new(2), std::sync::Barrier::new(2));
    let (place, one, other) = (two.place(), &two.one.1, &two.other.1);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let hold = |_| {
                reading.wait();
                read.wait();
                true
            };
            let given_up = one.find(&place, &path("a"), hold, || false);
            assert!(matches!(given_up, Err(Unread::Changing)), "{given_up:?}");
        });
        reading.wait();
        let others =
            [other, &third].map(|digests| scope.spawn(|| digests.find(&place, &path("a"), |_| true, || true).unwrap().unwrap()));
        read.wait();
        for other in others {
            assert_eq!(other.join().unwrap().digest.0, *blake3::hash(body.as_bytes()).as_bytes());
        }
    });
    let (other, third) = (other.counts(), third.counts());
    assert_eq!((other.0 + third.0, other.1 + third.1), (1, 1), "one of them reads");
}

#[test]
fn what_is_too_much_is_not_read_but_may_be_known() {
    let mut two = Two::new();
    two.write("a", "content");
    let find = |two: &Two| two.other.1.find(&two.place(), &path("a"), |bytes| bytes < 7, || true);
    assert!(matches!(find(&two), Ok(None)));
    let sent = two.sent("a", How::Sent);
    assert_eq!(find(&two).unwrap(), Some(sent));
}
