//! Scans of one directory at the same time: each says exactly what it says alone, and what is there is read once.

use std::sync::{Barrier, Mutex};

use proptest::prelude::*;

use super::*;

/// What a scan said, and what was counted.
type Told = (Vec<String>, Summary);

fn scanned(dir: &Path, patterns: &[String], company: &Company) -> Told {
    let root = Place { path: dir.to_owned(), view: View::default() }.open().unwrap();
    let rules = Rules::new(dir, patterns).unwrap();
    let mut found = Vec::new();
    let summary = scan_with(2, company, &root, &rules, &Dirty::Everything, &mut Index::default(), &mut |batch| {
        found.extend(batch);
        ControlFlow::Continue(())
    });
    (found.iter().map(|found| format!("{found:?}")).collect(), summary.unwrap())
}

fn alone(dir: &Path, patterns: &[String]) -> Told {
    scanned(dir, patterns, &Company::default())
}

/// Two scans that begin to read when both have begun.
fn in_step(dir: &Path, patterns: &[Vec<String>; 2]) -> [Told; 2] {
    let (company, both) = (Company::default(), Arc::new(Barrier::new(2)));
    thread::scope(|scope| {
        let scans = patterns.each_ref().map(|patterns| {
            let (company, both) = (company.clone(), Arc::clone(&both));
            scope.spawn(move || {
                // The root is opened once more to be read.
                let mut waits = true;
                fault::before(fault::Call::OpenDir, ".", move || {
                    if std::mem::take(&mut waits) {
                        both.wait();
                    }
                });
                let told = scanned(dir, patterns, &company);
                fault::clear();
                told
            })
        });
        scans.map(|scan| scan.join().unwrap())
    })
}

/// The same, whoever has read it.
fn same((found, summary): &Told) -> Told {
    (found.clone(), Summary { shared: 0, ..*summary })
}

#[test]
fn what_is_there_is_read_once() {
    let tree = Tree::in_memory();
    for n in 0..300 {
        tree.make(&[&format!("{}/{n}/a", n % 7), &format!("{}/{n}/b", n % 7), &format!("large/{n}"), &format!("large/x{n}")]);
    }
    let patterns = ["/0/", "b"].map(|line| vec![line.to_owned()]);
    let each = patterns.each_ref().map(|patterns| alone(tree.dir.path(), patterns));
    let both = in_step(tree.dir.path(), &patterns);
    assert_eq!(both.each_ref().map(same), each);
    // What one ignores is read for the other alone.
    assert_eq!(both[0].1.shared + both[1].1.shared, each[0].1.dirs + 1);
    assert!(each.iter().all(|(_, summary)| summary.shared == 0));
}

/// A scan that begins when another one has read nearly all looks at everything itself.
#[test]
fn who_begins_later_sees_what_was_changed_since() {
    let tree = Tree::in_memory();
    tree.make(&["a/f", "b/f", "z/f"]);
    let (company, second) = (Company::default(), Arc::new(Mutex::new(None)));
    let action = {
        let (dir, company, second) = (tree.dir.path().to_owned(), company.clone(), Arc::clone(&second));
        move || {
            second.lock().unwrap().get_or_insert_with(|| {
                fs::write(dir.join("a/new"), "").unwrap();
                let (dir, company) = (dir.clone(), company.clone());
                thread::spawn(move || scanned(&dir, &[], &company)).join().unwrap()
            });
        }
    };
    fault::before(fault::Call::OpenDir, "z", action);
    let (first, _) = scanned(tree.dir.path(), &[], &company);
    fault::clear();
    let (second, summary) = second.lock().unwrap().take().unwrap();
    assert!(!first.iter().any(|found| found.contains("a/new")), "it had been there before: {first:?}");
    assert!(second.iter().any(|found| found.contains("a/new")), "{second:?}");
    assert_eq!(summary.shared, 0);
}

/// A walk that stands still keeps nobody, and little lies there for it.
#[test]
fn who_is_slow_reads_by_itself() {
    let tree = Tree::in_memory();
    (0..60).for_each(|n| tree.make(&[&format!("{n}/a")]));
    let company = Company::default();
    let root = Place { path: tree.dir.path().to_owned(), view: View::default() }.open().unwrap();
    let slow = company.join(root.identity());
    let told = scanned(tree.dir.path(), &[], &company);
    assert_eq!(told, alone(tree.dir.path(), &[]));
    assert_eq!(slow.taken(), 0);
}

fn name() -> impl Strategy<Value = String> {
    "[a-e](/[a-e]){0,4}"
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(60) })]
    #[test]
    fn whatever_the_tree(
        files in prop::collection::vec(name(), 1..80),
        patterns in [prop::collection::vec(name(), 0..3), prop::collection::vec(name(), 0..3)],
    ) {
        let tree = Tree::in_memory();
        for file in &files {
            let at = tree.at(file);
            if fs::create_dir_all(at.parent().unwrap()).is_ok() && !at.is_dir() {
                fs::write(at, file).ok();
            }
        }
        let each = patterns.each_ref().map(|patterns| alone(tree.dir.path(), patterns));
        prop_assert_eq!(in_step(tree.dir.path(), &patterns).each_ref().map(same), each);
    }
}
