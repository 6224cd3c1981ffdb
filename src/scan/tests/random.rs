//! Random trees, random edits: whatever happened, a scan of everything and a scan of what was hinted at both bring the
//! index to what is there. What is there is asked of the ignore crate's own walker, which shares no code with the scan.

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Edit {
    Write(String, usize),
    MakeDir(String),
    Remove(String),
    Rename(String, String),
    Link(String, String),
    Rules(String, Vec<&'static str>),
}

fn name() -> impl Strategy<Value = String> {
    "[a-c](/[a-c]|/c\\.t){0,3}"
}

fn edit() -> impl Strategy<Value = Edit> {
    let dir = prop_oneof![Just(String::new()), name().prop_map(|dir| dir + "/")];
    let lines = prop::sample::subsequence(vec!["*.t", "!c.t", "a/", "/b", "b/c", "!a", "c"], 0..4);
    prop_oneof![
        6 => (name(), 0..3usize).prop_map(|(name, size)| Edit::Write(name, size)),
        4 => name().prop_map(Edit::MakeDir),
        3 => name().prop_map(Edit::Remove),
        4 => (name(), name()).prop_map(|(from, to)| Edit::Rename(from, to)),
        1 => (name(), name()).prop_map(|(target, name)| Edit::Link(target, name)),
        2 => (dir, lines).prop_map(|(dir, lines)| Edit::Rules(dir, lines)),
    ]
}

/// Does it if it can be done; where a watcher would hint.
fn apply(tree: &Tree, edit: &Edit) -> Vec<String> {
    let make = |name: &str, how: &dyn Fn(&Path) -> std::io::Result<()>| {
        // Every directory that is made on the way is hinted at as well, as the kernel does.
        let mut hints = Vec::new();
        for (slash, _) in name.match_indices('/') {
            if fs::create_dir(tree.at(&name[..slash])).is_ok() {
                hints.push(name[..slash].to_owned());
            }
        }
        if how(&tree.at(name)).is_ok() {
            hints.push(name.to_owned());
        }
        hints
    };
    match edit {
        Edit::Write(name, size) => make(name, &|at| {
            // A link would be written through, which no watcher of this path hears.
            if at.is_symlink() { Ok(()) } else { fs::write(at, vec![b'.'; *size]) }
        }),
        Edit::MakeDir(name) => make(name, &|at| fs::create_dir(at)),
        Edit::Link(target, name) => make(name, &|at| symlink(target, at)),
        Edit::Rules(dir, lines) => make(&format!("{dir}.towlineignore"), &|at| fs::write(at, lines.join("\n"))),
        Edit::Remove(name) => {
            let at = tree.at(name);
            let is_dir = at.symlink_metadata().is_ok_and(|meta| meta.is_dir());
            let removed = if is_dir { fs::remove_dir_all(at) } else { fs::remove_file(at) };
            removed.map_or(vec![], |()| vec![name.clone()])
        }
        Edit::Rename(from, to) => fs::rename(tree.at(from), tree.at(to)).map_or(vec![], |()| vec![from.clone(), to.clone()]),
    }
}

/// The edits' names may lead through a link that was made before; then they happen elsewhere, and so must the hints.
fn resolve(tree: &Tree, name: &str) -> Option<RelPath> {
    let at = tree.at(name);
    let parent = at.parent()?.canonicalize().ok()?;
    let root = tree.dir.path().canonicalize().ok()?;
    let real = parent.join(at.file_name()?);
    RelPath::new(real.strip_prefix(root).ok()?.as_os_str().as_bytes()).ok()
}

fn truth(tree: &Tree, outside: &Path) -> BTreeMap<RelPath, Entry> {
    let patterns = outside.join("patterns");
    fs::write(&patterns, tree.patterns.join("\n")).unwrap();
    let mut walker = ignore::WalkBuilder::new(tree.dir.path());
    walker.standard_filters(false).add_custom_ignore_filename(IGNORE_FILE).add_ignore(patterns);
    let mut entries = BTreeMap::new();
    for found in walker.build() {
        let found = found.unwrap();
        let meta = fs::symlink_metadata(found.path()).unwrap();
        let below = found.path().strip_prefix(tree.dir.path()).unwrap();
        let Ok(path) = RelPath::new(below.as_os_str().as_bytes()) else { continue };
        let print = Fingerprint {
            size: meta.len(),
            mtime_ns: meta.mtime() * 1_000_000_000 + meta.mtime_nsec(),
            ctime_ns: meta.ctime() * 1_000_000_000 + meta.ctime_nsec(),
            inode: meta.ino(),
        };
        if meta.is_dir() {
            entries.insert(path, Entry::dir(meta.ino()));
        } else if meta.is_file() {
            entries.insert(path, Entry::file(print, None));
        }
    }
    entries
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]
    #[test]
    fn scans_bring_the_index_to_the_truth(
        rounds in prop::collection::vec((prop::collection::vec(edit(), 1..12), any::<bool>()), 1..6),
        patterns in prop::sample::subsequence(vec!["*.t", "!b", "b/"], 0..3),
    ) {
        let mut tree = Tree::in_memory();
        let outside = Tree::in_memory().dir;
        tree.patterns = patterns.into_iter().map(str::to_owned).collect();
        for (edits, full) in rounds {
            let mut hints = Vec::new();
            for edit in &edits {
                // A rename may replace the link that its source was named through.
                if let Edit::Rename(from, to) = edit {
                    hints.extend([from, to].into_iter().filter_map(|name| resolve(&tree, name)));
                }
                let names = apply(&tree, edit);
                hints.extend(names.iter().filter_map(|name| resolve(&tree, name)));
            }
            let said = if full { tree.scan_all() } else { tree.scan(&Dirty::Paths(hints)) };
            prop_assert!(said.summary.complete);
            prop_assert_eq!(&tree.index.0, &truth(&tree, outside.path()), "full: {}", full);
        }
    }
}
