//! Micro-benchmarks of what runs for each path, reply or hint: the planner, the reply parser, the settle table and the index's verbs.
//! `cargo bench`; `cargo bench -- planner` for some of them.

use std::{hint::black_box, time::Duration};

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use towline::{
    ftps::proto::ReplyParser,
    index::Index,
    model::{
        Abilities, Digest, Done, Entry, Fingerprint, How, Observation, Operation, Outcome, PathSet, RelPath, Row, Settlement,
        UnixMillis, Window,
    },
    plan::{Policy, Removals, Stage, plan},
    watch::{Hint, Settle},
};

/// Rows of one window, observations of one batch.
const ROWS: u64 = 4_000;
const NOW: UnixMillis = UnixMillis(1_700_000_000_000);

fn path(n: u64) -> RelPath {
    RelPath::new(format!("directory-{:03}/file-{n:06}.html", n / 50)).expect("a path")
}

fn file(n: u64, size: u64) -> Entry {
    let print = Fingerprint { size, mtime_ns: 1_700_000_000_000_000_000, ctime_ns: 1_700_000_000_000_000_000, inode: n + 1 };
    Entry::file(print, Some(Digest(*blake3::hash(&n.to_le_bytes()).as_bytes())))
}

/// A tree of `ROWS` files, with the directories before them.
fn tree(size: u64) -> Vec<(RelPath, Entry)> {
    let mut found = Vec::new();
    for n in 0..ROWS {
        if n % 50 == 0 {
            found.push((RelPath::new(format!("directory-{:03}", n / 50)).expect("a path"), Entry::dir(10_000_000 + n)));
        }
        found.push((path(n), file(n, size)));
    }
    found
}

fn planner(c: &mut Criterion) {
    let mut group = c.benchmark_group("planner");
    group.throughput(Throughput::Elements(ROWS));
    let policy = Policy { removals: Removals::Allowed, abilities: Abilities::UNKNOWN };
    let window = |row: fn(RelPath, Entry) -> Row| Window {
        rows: tree(5).into_iter().map(|(path, entry)| row(path, entry)).collect(),
        ..Window::default()
    };
    let new = window(|path, entry| Row { path, observed: Some(entry), recorded: None, due: true });
    let gone = window(|path, entry| Row { path, observed: None, recorded: Some(entry), due: true });
    // Everything below a directory that was renamed.
    let mut moved = gone.clone();
    let elsewhere = |path: &RelPath| RelPath::new([b"other/", path.as_bytes()].concat()).expect("a path");
    let there = new.rows.iter().map(|row| Row { path: elsewhere(&row.path), ..row.clone() });
    moved.rows.extend(there);
    for (name, window) in [("4000 new", new), ("4000 gone", gone), ("4000 moved", moved)] {
        group.bench_function(name, |b| b.iter(|| plan(black_box(&window), &Stage::All, policy, &PathSet::default())));
    }
    group.finish();
}

fn replies(c: &mut Criterion) {
    let mut group = c.benchmark_group("reply parser");
    let flight = b"226 Transfer complete.\r\n213 4096\r\n250-Begin\r\n type=file;size=4096;modify=20231114221320; /a/b.html\r\n250 End.\r\n\
        213 Modify=20231114221320; /a/b.part\r\n229 Entering Extended Passive Mode (|||40001|)\r\n";
    group.throughput(Throughput::Bytes(flight.len() as u64));
    group.bench_function("the replies to one file", |b| {
        b.iter(|| {
            let mut parser = ReplyParser::default();
            parser.feed(black_box(flight));
            while let Ok(Some(reply)) = parser.reply() {
                black_box(reply);
            }
        });
    });
    group.finish();
}

fn settle(c: &mut Criterion) {
    let mut group = c.benchmark_group("settle table");
    group.throughput(Throughput::Elements(ROWS));
    let paths: Vec<RelPath> = (0..ROWS).map(path).collect();
    let quiet = Duration::from_millis(200);
    let start = tokio::time::Instant::now();
    group.bench_function("4000 paths, three hints each, and taken", |b| {
        b.iter(|| {
            let mut settle = Settle::new(quiet);
            for _ in 0..3 {
                paths.iter().for_each(|path| settle.hear(Hint::Path(path.clone()), start));
            }
            black_box(settle.take(start + quiet))
        });
    });
    group.finish();
}

fn index(c: &mut Criterion) {
    let mut group = c.benchmark_group("index");
    group.sample_size(20);
    let is = |size| tree(size).into_iter().map(|(path, entry)| Observation::Is(path, entry)).collect::<Vec<_>>();
    let (first, changed) = (is(5), is(6));
    // On a disk, as it is used.
    let fresh = || {
        let dir = tempfile::tempdir().expect("a directory");
        let index = Index::open(&dir.path().join("index.db"), NOW).expect("an index");
        (dir, index)
    };
    let filled = || {
        let (dir, mut index) = fresh();
        index.observe(&first, NOW).expect("observed");
        (dir, index)
    };
    group.throughput(Throughput::Elements(first.len() as u64));
    group.bench_function("observe 4000 new", |b| {
        b.iter_batched(fresh, |(dir, mut index)| (index.observe(&first, NOW).expect("observed"), dir), BatchSize::PerIteration);
    });
    group.bench_function("observe 4000 unchanged", |b| {
        let (_dir, mut index) = filled();
        b.iter(|| index.observe(&first, NOW).expect("observed"));
    });
    group.bench_function("observe 4000 changed", |b| {
        b.iter_batched(
            filled,
            |(dir, mut index)| (index.observe(&changed, NOW).expect("observed"), dir),
            BatchSize::PerIteration,
        );
    });
    group.bench_function("window of 4000", |b| {
        let (_dir, index) = filled();
        b.iter(|| index.window(None, first.len(), NOW).expect("a window"));
    });
    group.throughput(Throughput::Elements(1));
    group.bench_function("begin and settle one put", |b| {
        let (_dir, mut index) = filled();
        let Entry::File { print, digest: Some(digest), .. } = file(7, 5) else { unreachable!("a file") };
        let put = Operation::Put { path: path(7), print, equal_to: None, mode: None, like: None };
        b.iter(|| {
            let jobs = index.begin(std::slice::from_ref(&put), NOW).expect("begun");
            let outcome = Outcome::Done(Done::Holds { print, digest, sent: 5, how: How::Sent });
            index.settle(&[Settlement { job: jobs[0].id, outcome, retry_at: None }], NOW).expect("settled");
        });
    });
    group.finish();
}

criterion_group!(benches, planner, replies, settle, index);
criterion_main!(benches);
