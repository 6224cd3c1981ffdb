//! What is something else between the look at its name and the moment when it is opened.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use super::*;

/// Does `swap` once, with the place called `name`, right before `call` on it.
fn once(tree: &Tree, call: fault::Call, name: &str, swap: fn(&Path)) {
    let at = tree.at(name);
    let mut swap = Some(swap);
    let last = name.rsplit('/').next().unwrap();
    fault::before(call, last, move || swap.take().into_iter().for_each(|swap| swap(&at)));
}

/// How a directory with a file `f` in it is swapped, and what is seen of it then, if it was known before and if not.
type Swap = (fn(&Path), &'static [&'static str], &'static [&'static str]);

const SWAPS: [Swap; 5] = [
    (to_file, &["d", "gone d/f"], &["d"]),
    (to_link, &["gone d"], &[]),
    (to_nothing, &["gone d"], &[]),
    (to_fifo, &["gone d"], &[]),
    // Not seen through what was opened before.
    (to_other, &["d/", "gone d/f", "d/g"], &["d/", "d/g"]),
];

fn to_nothing(at: &Path) {
    fs::remove_dir_all(at).or_else(|_| fs::remove_file(at)).unwrap();
}

fn to_file(at: &Path) {
    to_nothing(at);
    fs::write(at, "a file").unwrap();
}

fn to_link(at: &Path) {
    fs::rename(at, at.with_file_name("aside")).unwrap();
    symlink("aside", at).unwrap();
}

fn to_fifo(at: &Path) {
    to_nothing(at);
    mkfifo(at);
}

fn to_other(at: &Path) {
    fs::rename(at, at.with_file_name("aside")).unwrap();
    fs::create_dir(at).unwrap();
    fs::write(at.join("g"), "g").unwrap();
}

#[test]
fn a_directory_that_is_swapped_before_it_is_opened_is_what_it_is_then() {
    for (swap, if_known, if_new) in SWAPS {
        for (known, helpers) in [(true, 0), (false, 0), (true, 2), (false, 2)] {
            let mut tree = Tree::new();
            // Enough of them for helpers to begin.
            (0..20).for_each(|n| tree.make(&[&format!("a{n}/")]));
            tree.make(&["d/f", "z"]);
            if known {
                tree.scan_all();
            }
            let root = Root::open(tree.dir.path()).unwrap();
            once(&tree, fault::Call::OpenDir, "d", swap);
            let mut said = tree.scan_helped(helpers, &root, &Dirty::Everything);
            fault::clear();
            said.seen.retain(|name| !name.starts_with('a') && name != "z");
            assert_eq!(said.seen, if known { if_known } else { if_new }, "known: {known}, helpers: {helpers}");
            assert!(said.summary.complete && said.problems.is_empty(), "{:?}", said.problems);
        }
    }
}

#[test]
fn a_link_that_is_swapped_for_a_directory_before_it_is_read_is_one() {
    let mut tree = Tree::new();
    tree.view.symlinks = Symlinks::Link;
    symlink("nowhere", tree.at("l")).unwrap();
    tree.scan_all();
    once(&tree, fault::Call::ReadLink, "l", |at| {
        fs::remove_file(at).unwrap();
        fs::create_dir(at).unwrap();
        fs::write(at.join("f"), "f").unwrap();
    });
    let said = tree.scan_all();
    fault::clear();
    assert_eq!((said.seen, said.summary.complete), (vec!["l/".to_owned(), "l/f".to_owned()], true));
}

#[test]
fn what_a_followed_link_leads_to_is_looked_for_again_if_it_is_swapped_meanwhile() {
    let mut tree = Tree::new();
    tree.view.symlinks = Symlinks::Follow;
    tree.make(&["real/f", "other/g"]);
    symlink("real", tree.at("l")).unwrap();
    tree.scan_all();
    once(&tree, fault::Call::OpenDir, "real", |at| {
        fs::rename(at, at.with_file_name("aside")).unwrap();
        symlink("other", at).unwrap();
    });
    let said = tree.scan_at(&["l"]);
    fault::clear();
    assert_eq!((said.seen, said.summary.complete), (vec!["l/".to_owned(), "gone l/f".to_owned(), "l/g".to_owned()], true));
}

/// A tree in which somebody makes `d` a directory whenever it is looked at, and a file whenever it is opened. And how often the
/// latter.
fn restless() -> (Tree, Arc<AtomicUsize>) {
    let mut tree = Tree::new();
    tree.make(&["a", "d/f", "z"]);
    tree.scan_all();
    let opened = Arc::new(AtomicUsize::new(0));
    let (at, count): (PathBuf, _) = (tree.at("d"), Arc::clone(&opened));
    fault::before(fault::Call::OpenDir, "d", {
        let at = at.clone();
        move || {
            count.fetch_add(1, Ordering::Relaxed);
            to_file(&at);
        }
    });
    fault::before(fault::Call::Look, "d", move || {
        to_nothing(&at);
        fs::create_dir(&at).unwrap();
    });
    (tree, opened)
}

#[test]
fn what_is_never_the_same_is_told_after_a_few_looks_and_left_as_it_is() {
    let (mut tree, opened) = restless();
    fs::remove_file(tree.at("z")).unwrap();
    let said = tree.scan_all();
    fault::clear();
    assert_eq!(said.seen, ["gone z"]);
    assert!(!said.summary.complete);
    assert!(said.problems[0].starts_with("d: it is something else"), "{:?}", said.problems);
    assert_eq!((said.problems.len(), opened.load(Ordering::Relaxed)), (1, LOOKS));
    assert!(tree.scan_at(&["d"]).summary.complete);
    assert_eq!(tree.index.0.keys().map(ToString::to_string).collect::<Vec<_>>(), ["a", "d"]);
}

#[test]
fn an_account_of_what_is_swapped_meanwhile_is_of_what_is_there_then() {
    let tree = Tree::new();
    tree.make(&["d/f"]);
    let root = Root::open(tree.dir.path()).unwrap();
    let rules = Rules::new(root.path(), &[]).unwrap();
    once(&tree, fault::Call::OpenDir, "d", to_file);
    let sighting = explain(&root, &rules, &path("d/f"));
    fault::clear();
    assert!(matches!(sighting, Sighting::Nothing), "{sighting}");
}
