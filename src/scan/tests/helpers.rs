//! With helpers a scan says exactly what it says without: same findings, same order, whatever the tree and whatever goes wrong.

use proptest::prelude::*;

use super::*;

/// All that a scan of everything said, and what was counted; what is said is noted in the index.
fn said(tree: &mut Tree, helpers: usize) -> (Vec<String>, Summary) {
    let root = Place { path: tree.dir.path().to_owned(), view: tree.view }.open().unwrap();
    let rules = Rules::new(root.path(), &tree.patterns).unwrap();
    let (mut found, index) = (Vec::new(), &mut tree.index);
    let summary = scan_with(helpers, &Company::default(), &root, &rules, &Dirty::Everything, index, &mut |batch| {
        found.extend(batch);
        ControlFlow::Continue(())
    });
    for found in &found {
        if let Found::Seen(observation) = found {
            tree.index.apply(observation);
        }
    }
    (found.iter().map(|found| format!("{found:?}")).collect(), summary.unwrap())
}

/// Alone and with helpers, from the same index; what it is then.
fn compare(tree: &mut Tree) -> Result<(), TestCaseError> {
    let before = tree.index.clone();
    let alone = said(tree, 0);
    let after = std::mem::replace(&mut tree.index, before.clone());
    for helpers in [1, 4] {
        tree.index = before.clone();
        prop_assert_eq!(&said(tree, helpers), &alone);
        prop_assert_eq!(&tree.index.0, &after.0);
    }
    Ok(())
}

fn name() -> impl Strategy<Value = String> {
    "[a-f](/[a-f]){0,4}"
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(100) })]
    #[test]
    fn whatever_the_tree(
        files in prop::collection::vec(name(), 1..120),
        links in prop::collection::vec((name(), name()), 0..4),
        rules in prop::collection::vec((name(), prop::sample::select(vec!["a", "b/", "!c", "d/e"])), 0..4),
        faults in prop::collection::vec((any::<bool>(), "[a-f]", prop::sample::select(vec![Errno::ACCESS, Errno::NOENT, Errno::IO])), 0..3),
        gone in prop::collection::vec(name(), 0..6),
        follow in any::<bool>(),
    ) {
        let mut tree = Tree::in_memory();
        tree.view.symlinks = if follow { Symlinks::Follow } else { Symlinks::Skip };
        for file in &files {
            let at = tree.at(file);
            if fs::create_dir_all(at.parent().unwrap()).is_ok() && !at.is_dir() {
                fs::write(at, file).ok();
            }
        }
        for (target, link) in &links {
            symlink(tree.at(target), tree.at(link)).ok();
        }
        for (dir, line) in &rules {
            fs::write(tree.at(dir).join(IGNORE_FILE), line).ok();
        }
        compare(&mut tree)?;
        for name in &gone {
            let at = tree.at(name);
            fs::remove_dir_all(&at).or_else(|_| fs::remove_file(&at)).ok();
        }
        for (open, name, errno) in &faults {
            fault::inject(if *open { fault::Call::OpenDir } else { fault::Call::Look }, name, *errno);
        }
        let compared = compare(&mut tree);
        fault::clear();
        compared?;
    }
}

/// More names in one directory than are looked at in one go.
#[test]
fn a_directory_of_many_names_is_looked_at_in_pieces() {
    let mut tree = Tree::in_memory();
    for n in 0..ahead::PIECE * 10 + 7 {
        tree.write(&format!("f{n}"), "");
    }
    for n in 0..100 {
        tree.make(&[&format!("d{n}/f"), &format!("e/d{n}/f")]);
    }
    compare(&mut tree).unwrap();
    assert_eq!(tree.index.0.len(), ahead::PIECE * 10 + 7 + 401);
    fs::remove_file(tree.at("f300")).unwrap();
    fs::remove_dir_all(tree.at("d50")).unwrap();
    compare(&mut tree).unwrap();
}

/// Helpers may have read them before or after.
#[test]
fn what_vanishes_while_helpers_read_ahead_is_found_out_by_the_next_scan() {
    let mut tree = Tree::in_memory();
    for n in 0..200 {
        tree.make(&[&format!("d{n:03}/s/f"), &format!("d{n:03}/g")]);
    }
    let root = Root::open(tree.dir.path()).unwrap();
    let rules = Rules::new(root.path(), &[]).unwrap();
    for half in 0..2 {
        let mut index = tree.index.clone();
        let mut n = half;
        // Nothing is known, so that there is something to say.
        let summary = scan_with(4, &Company::default(), &root, &rules, &Dirty::Everything, &mut Index::default(), &mut |batch| {
            for found in &batch {
                if let Found::Seen(observation) = found {
                    index.apply(observation);
                }
            }
            while n < 200 {
                fs::remove_dir_all(tree.at(&format!("d{n:03}"))).unwrap();
                n += 2;
            }
            ControlFlow::Continue(())
        });
        summary.unwrap();
        tree.index = index;
        tree.scan_all();
        assert_eq!(tree.index.0.len(), (1 - half) * 400);
    }
}

/// Which directory is scanned does not matter where nobody else scans.
const NOWHERE: crate::model::RootIdentity = crate::model::RootIdentity { device: 0, inode: 0, filesystem: 0 };

/// The walk must not wait for what will never come.
#[test]
fn a_helper_that_panics_ends_the_scan() {
    let ended = std::panic::catch_unwind(|| {
        thread::scope(|scope| {
            let mut helpers = Helpers::at_most(scope, 1, Arc::new(Company::default().join(NOWHERE)));
            let (begun, has_begun) = std::sync::mpsc::channel();
            let errands: Vec<_> = (0..10)
                .map(|n| {
                    let begun = begun.clone();
                    helpers.ask(move || {
                        begun.send(n).unwrap();
                        panic!("as it was told to");
                    })
                })
                .collect();
            // Whichever it was.
            let n: usize = has_begun.recv().unwrap();
            errands.into_iter().nth(n).unwrap().take()
        })
    });
    assert!(ended.is_err());
}
