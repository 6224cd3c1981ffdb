//! Symbolic links that are followed or taken as they are, and permissions.

use std::os::unix::fs::PermissionsExt;

use super::*;

const FOLLOW: View = View { symlinks: Symlinks::Follow, modes: Modes::Ignore };

fn following() -> Tree {
    Tree { view: FOLLOW, ..Tree::new() }
}

impl Tree {
    fn link(&self, name: &str, target: &str) {
        symlink(target, self.at(name)).unwrap();
    }

    fn relink(&self, name: &str, target: &str) {
        fs::remove_file(self.at(name)).unwrap();
        self.link(name, target);
    }

    fn read(&self, name: &str) -> Result<Vec<u8>, read::ReadError> {
        let root = Place { path: self.dir.path().to_owned(), view: self.view }.open().unwrap();
        let mut file = read::open_file(&root, &path(name))?;
        Ok(file.read(100).unwrap())
    }
}

#[test]
fn a_link_inside_the_root_is_what_it_leads_to() {
    let mut tree = following();
    tree.make(&["d/s/f", "g"]);
    tree.link("file", "d/s/f");
    tree.link("dir", "./d//s/");
    tree.link("d/up", "../g");
    tree.link("far", "hop/f");
    tree.link("hop", "dir");
    tree.link("absolute", tree.at("d/s").to_str().unwrap());
    let said = tree.scan_all();
    assert_eq!(
        said.seen,
        ["absolute/", "absolute/f", "d/", "d/s/", "d/s/f", "d/up", "dir/", "dir/f", "far", "file", "g", "hop/", "hop/f"]
    );
    assert!(said.problems.is_empty() && said.summary.complete);
    assert_eq!(said.summary.skipped, Skipped::default());
    assert_eq!(
        said.links,
        [
            "absolute: absolute d/s",
            "d/up: d/up g",
            "dir: dir d/s",
            "far: far hop dir d/s/f",
            "file: file d/s/f",
            "hop: hop dir d/s"
        ]
    );
    assert_eq!(tree.index.0[&path("file")], tree.index.0[&path("d/s/f")]);
    for name in ["absolute/f", "dir/f", "far", "hop/f", "file"] {
        assert_eq!(tree.read(name).unwrap(), b"d/s/f", "{name}");
    }
    assert!(tree.scan_all().seen.is_empty());
    // A change is seen at a followed link, and below one, without walking what is known.
    tree.write("d/s/f", "changed");
    tree.make(&["d/s/n"]);
    assert_eq!(tree.scan_at(&["dir/n", "file", "hop/f"]).seen, ["dir/n", "file", "hop/f"]);
    tree.relink("file", "g");
    tree.relink("dir", "g");
    assert_eq!(tree.scan_at(&["file", "dir"]).seen, ["dir", "gone dir/f", "gone dir/n", "file"]);
}

#[test]
fn what_leads_out_to_nothing_or_in_a_circle_is_skipped_and_counted() {
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("secret"), "secret").unwrap();
    let out = outside.path().to_str().unwrap();
    let mut tree = following();
    tree.make(&["d/s/f"]);
    for (name, target) in [
        ("o1", out),
        ("o2", "../x"),
        ("o3", "d/../../d"),
        ("o4", "o5/x"),
        ("o5", ".."),
        ("n1", "nothing"),
        ("n2", "d/s/f/x"),
        ("d/s/c1", "."),
        ("d/s/c2", ".."),
        ("c3", "."),
        ("c4", "c4"),
        ("c5", "c6"),
        ("c6", "c5"),
    ] {
        tree.link(name, target);
    }
    tree.link("o6", &format!("{}x/../y", tree.dir.path().display()));
    tree.link("o7", &format!("{}/d/../..", tree.dir.path().display()));
    let said = tree.scan_all();
    assert_eq!(said.seen, ["d/", "d/s/", "d/s/f"]);
    assert!(said.summary.complete);
    let counted = Skipped { symlinks: 15, outside: 7, dangling: 2, looping: 6, ..Skipped::default() };
    assert_eq!(said.summary.skipped, counted);
    for name in ["o1/secret", "o2", "n1", "c4", "d/s/c2/../../o1/secret"] {
        let read = RelPath::new(name).map(|_| tree.read(name));
        assert!(read.is_err() || matches!(read, Ok(Err(read::ReadError::Gone))), "{name}");
    }
    assert_eq!(tree.scan_at(&["d/s/c1", "o1/secret", "c3/d/s/f"]).seen, [""; 0]);
    // One that led somewhere and leads out now is gone.
    tree.link("l", "d/s/f");
    assert_eq!(tree.scan_at(&["l"]).seen, ["l"]);
    tree.relink("l", &format!("{out}/secret"));
    assert!(matches!(tree.read("l"), Err(read::ReadError::Gone)));
    assert_eq!(tree.scan_at(&["l"]).seen, ["gone l"]);
}

#[test]
fn a_few_directories_full_of_links_to_each_other_come_to_an_end() {
    let mut tree = following();
    for from in 0..8 {
        tree.make(&[&format!("d{from}/f")]);
        for to in (0..8).filter(|to| *to != from) {
            tree.link(&format!("d{from}/l{to}"), &format!("../d{to}"));
        }
    }
    let said = tree.scan_all();
    assert!(said.summary.skipped.looping > 0 && said.summary.complete);
    assert_eq!(said.summary.files, 8 * (1 + 7 + 7 * 6 + 7 * 6 * 5 + 7 * 6 * 5 * 4));
}

#[test]
fn a_link_whose_target_is_swapped_for_one_outside_is_never_read() {
    let outside = tempfile::tempdir().unwrap();
    fs::create_dir(outside.path().join("s")).unwrap();
    fs::write(outside.path().join("s/f"), "secret").unwrap();
    let tree = following();
    tree.make(&["d/s/f"]);
    tree.link("dir", "d/s");
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let (aside, place) = (tree.at("aside"), tree.at("d"));
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                fs::rename(&place, &aside).unwrap();
                symlink(outside.path(), &place).unwrap();
                fs::remove_file(&place).unwrap();
                fs::rename(&aside, &place).unwrap();
            }
        });
        let results: Vec<_> = (0..3_000).map(|_| tree.read("dir/f")).collect();
        // Before anything can fail: the scope waits for the other thread.
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        for result in results {
            match result {
                Ok(content) => assert_eq!(content, b"d/s/f"),
                Err(error) => assert!(matches!(error, read::ReadError::Gone | read::ReadError::NotAFile), "{error:?}"),
            }
        }
    });
    assert_eq!(tree.read("dir/f").unwrap(), b"d/s/f", "all is back in its place");
}

#[test]
fn followed_links_are_ignored_as_what_they_lead_to() {
    let mut tree = following();
    tree.make(&["d/f", "g"]);
    tree.link("build", "d");
    tree.link("other", "g");
    tree.patterns = vec!["build/".into(), "other/".into()];
    assert_eq!(tree.scan_all().seen, ["d/", "d/f", "g", "other"]);
}

#[test]
fn links_are_seen_by_what_they_hold_where_they_are_mirrored_as_links() {
    let mut tree = Tree { view: View { symlinks: Symlinks::Link, ..View::default() }, ..Tree::new() };
    tree.make(&["d/f"]);
    tree.link("l", "d/f");
    tree.link("dangling", "../no");
    let said = tree.scan_all();
    assert_eq!(said.seen, ["d/", "d/f", "dangling@", "l@"]);
    assert_eq!((said.summary.links, said.summary.skipped), (2, Skipped::default()));
    tree.relink("l", "d/f");
    assert!(tree.scan_all().seen.is_empty(), "it holds the same");
    tree.relink("l", "d");
    assert_eq!(tree.scan_at(&["l"]).seen, ["l@"]);
    fs::remove_file(tree.at("l")).unwrap();
    tree.make(&["l/x"]);
    assert_eq!(tree.scan_at(&["l"]).seen, ["l/", "l/x"]);
    fs::remove_dir_all(tree.at("l")).unwrap();
    tree.link("l", "d");
    assert_eq!(tree.scan_all().seen, ["l@", "gone l/x"]);
    let root = Root::open(tree.dir.path()).unwrap();
    assert_eq!(read::read_link(&root, &path("l")).unwrap(), b"d");
    assert!(matches!(read::read_link(&root, &path("d")), Err(read::ReadError::NotALink)));
    assert!(matches!(read::read_link(&root, &path("l/x")), Err(read::ReadError::Gone)));
    // The policy changes.
    tree.view = View::default();
    assert_eq!(tree.scan_all().seen, ["gone dangling", "gone l"]);
}

#[test]
fn what_a_link_holds_travels_if_it_stays_inside() {
    for (at, target, whether) in [
        ("l", "f", true),
        ("l", "d/../f", true),
        ("l", "../f", false),
        ("l", "d/../../f", false),
        ("d/l", "../f", true),
        ("d/l", "./../f/.", true),
        ("d/l", "../../f", false),
        ("l", "/f", false),
        ("l", "", false),
        ("d/e/l", "../..", true),
    ] {
        assert_eq!(travels(&path(at), target.as_bytes()), whether, "{at} -> {target}");
    }
}

#[test]
fn permissions_count_only_where_they_are_kept() {
    let mut tree = Tree::new();
    tree.make(&["d/f"]);
    let chmod = |tree: &Tree, name: &str, mode| fs::set_permissions(tree.at(name), fs::Permissions::from_mode(mode)).unwrap();
    let modes = |tree: &Tree| ["d", "d/f"].map(|name| tree.index.0[&path(name)].mode());
    chmod(&tree, "d", 0o1555);
    chmod(&tree, "d/f", 0o4711);
    tree.scan_all();
    assert_eq!(modes(&tree), [None, None]);
    chmod(&tree, "d", 0o2555);
    assert!(tree.scan_all().seen.is_empty());
    tree.view.modes = Modes::Keep;
    assert_eq!(tree.scan_all().seen, ["d/", "d/f"]);
    let mode = |bits| Some(crate::model::Mode::of(bits));
    assert_eq!(modes(&tree), [mode(0o755), mode(0o711)], "no special bits, and the owner may write into a directory");
    chmod(&tree, "d", 0o750);
    assert_eq!(tree.scan_at(&["d"]).seen, ["d/"]);
    tree.view.modes = Modes::Fixed { files: mode(0o644), dirs: None };
    assert_eq!(tree.scan_all().seen, ["d/", "d/f"]);
    assert_eq!(modes(&tree), [None, mode(0o644)]);
}
