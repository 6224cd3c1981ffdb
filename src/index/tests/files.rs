use std::os::unix::fs::PermissionsExt;

use super::*;

#[test]
fn an_index_is_private_and_keeps_what_it_knows() {
    let mut fresh = Fresh::new();
    fresh.sees(&[("a", file(1, 1))]);
    for suffix in ["", "-wal", "-shm"] {
        let file = fresh.dir.path().join(format!("index.db{suffix}"));
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{suffix}");
    }
    let instance = fresh.index.instance().to_owned();
    assert!(instance.len() == 8 && instance.bytes().all(|b| b.is_ascii_hexdigit()), "{instance}");
    let fresh = fresh.reopen();
    assert_eq!(fresh.index.instance(), instance);
    assert_eq!(fresh.pending(), ["a"]);
    assert_ne!(Fresh::new().index.instance(), instance);
}

#[test]
fn a_newer_schema_is_refused() {
    let fresh = Fresh::new();
    let ours = i64::try_from(SCHEMA.len()).unwrap();
    fresh.index.db.pragma_update(None, "user_version", ours + 2).unwrap();
    let refused = Index::open(&fresh.index.file, at(0)).unwrap_err();
    let told = format!("schema {}, this one knows up to {ours}", ours + 2);
    assert!(matches!(refused, IndexError::Newer { .. }) && refused.to_string().contains(&told), "{refused}");
    assert!(refused.hint().is_some());
}

#[test]
fn every_commit_waits_for_the_disk_but_that_of_what_was_seen() {
    let dir = tempfile::tempdir().unwrap();
    let mut index = Index::open(&dir.path().join("index.db"), at(0)).unwrap();
    // Also after it, and after one that failed.
    index.observe(&[Observation::Is(p("f"), file(1, 1))], at(1)).unwrap();
    index.db.execute_batch("CREATE TEMP TRIGGER no BEFORE INSERT ON main.entry BEGIN SELECT RAISE(ABORT, 'no'); END").unwrap();
    index.observe(&[Observation::Is(p("g"), file(1, 2))], at(1)).unwrap_err();
    let pragma = |name: &str| index.db.pragma_query_value(None, name, |row| row.get::<_, rusqlite::types::Value>(0)).unwrap();
    assert_eq!(pragma("synchronous"), 2.into());
    assert_eq!(pragma("journal_mode"), "wal".to_owned().into());
    assert_eq!(pragma("foreign_keys"), 1.into());
}

#[test]
fn an_index_can_be_moved_to_another_thread() {
    fn send<T: Send>() {}
    send::<Index>();
    send::<Reader>();
    send::<Profiles>();
}

#[test]
fn a_copy_is_whole_and_leads_its_own_life() {
    let mut fresh = Fresh::new();
    fresh.sees(&[("a", file(1, 1))]);
    let job = fresh.begin(put("a", 1, 1));
    for (name, copied) in [
        ("one.db", fresh.index.copy_to(&fresh.dir.path().join("one.db"))),
        ("two.db", fresh.index.reader().unwrap().copy_to(&fresh.dir.path().join("two.db"))),
    ] {
        copied.unwrap();
        let mut copy = Index::open(&fresh.dir.path().join(name), at(0)).unwrap();
        assert_eq!(copy.instance(), fresh.index.instance());
        assert_eq!(copy.tally(at(0)).unwrap(), fresh.index.tally(at(0)).unwrap());
        assert_eq!(copy.in_doubt().unwrap(), std::slice::from_ref(&job));
        copy.observe(&[Observation::Gone(p("a"))], at(1)).unwrap();
    }
    assert_eq!(fresh.pending(), ["a"]);
    assert_eq!(fresh.index.in_doubt().unwrap(), []);
}

#[test]
fn a_reader_pages_through_a_subtree_while_it_is_written() {
    let mut fresh = Fresh::new();
    let mut found = vec![("d".to_owned(), dir(1)), ("d.txt".to_owned(), file(1, 2)), ("c".to_owned(), file(1, 3))];
    found.extend((0..2500).map(|n| (format!("d/{n:05}"), file(n, n + 10))));
    let observations: Vec<_> = found.iter().map(|(path, entry)| Observation::Is(p(path), *entry)).collect();
    fresh.index.observe(&observations, at(1)).unwrap();
    fresh.loses(&["d/00007"]);
    found.retain(|(path, _)| path != "d/00007");
    found.sort_by_key(|(path, _)| p(path));

    let mut reader = fresh.index.reader().unwrap();
    let list = |reader: &mut Reader, prefix: Option<RelPath>| -> Vec<(String, Entry)> {
        reader.under(prefix.as_ref()).map(|found| found.map(|(path, entry)| (path.to_string(), entry)).unwrap()).collect()
    };
    assert_eq!(list(&mut reader, None), found);
    found.retain(|(path, _)| p(path).is_at_or_below(&p("d")));
    assert_eq!(list(&mut reader, Some(p("d"))), found);
    assert_eq!(list(&mut reader, Some(p("d/00009"))), [("d/00009".to_owned(), file(9, 19))]);
    assert_eq!(list(&mut reader, Some(p("e"))), []);

    let mut under = reader.under(None);
    under.next().unwrap().unwrap();
    fresh.loses(&["d/02000"]);
    assert_eq!(under.count(), 2500);
}

#[test]
fn a_reader_cannot_write() {
    let fresh = Fresh::new();
    let reader = fresh.index.reader().unwrap();
    assert!(reader.copy_to(&fresh.index.file).is_err());
    assert_eq!(fresh.index.live().unwrap(), []);
}

#[test]
fn notes_are_kept_replaced_and_taken_away() {
    let mut fresh = Fresh::new();
    let root = crate::model::RootIdentity { device: u64::MAX, inode: 7, filesystem: 9 };
    assert_eq!(fresh.index.note::<crate::model::RootIdentity>(Note::Root).unwrap(), None);
    fresh.index.set_note(Note::Root, Some(&root)).unwrap();
    fresh.index.set_note(Note::LastSuccess, Some(&at(5))).unwrap();
    fresh.index.set_note(Note::LastSuccess, Some(&at(6))).unwrap();
    let mut fresh = fresh.reopen();
    assert_eq!(fresh.index.note(Note::Root).unwrap(), Some(root));
    assert_eq!(fresh.index.note(Note::LastSuccess).unwrap(), Some(at(6)));
    assert!(matches!(fresh.index.note::<UnixMillis>(Note::Root), Err(IndexError::Corrupt(_))));
    fresh.index.set_note::<UnixMillis>(Note::LastSuccess, None).unwrap();
    assert_eq!(fresh.index.note::<UnixMillis>(Note::LastSuccess).unwrap(), None);
    assert_eq!(fresh.index.note(Note::Created).unwrap(), Some(at(0)));
}

#[test]
fn a_full_disk_is_called_by_its_name_and_changes_nothing() {
    let mut fresh = Fresh::new();
    let pages: i64 = fresh.index.db.pragma_query_value(None, "page_count", |row| row.get(0)).unwrap();
    fresh.index.db.pragma_update(None, "max_page_count", pages + 1).unwrap();
    let many: Vec<_> = (0..1000).map(|n| Observation::Is(p(&format!("{n}")), file(n, n))).collect();
    assert!(matches!(fresh.index.observe(&many, at(1)), Err(IndexError::Full(_))));
    assert_eq!(fresh.index.tally(at(1)).unwrap(), Tally::default());
    assert_eq!(fresh.pending(), [""; 0]);
}

/// A plan that falls back to the table is a scan of a million rows.
#[test]
fn queries_use_their_partial_indexes() {
    let fresh = Fresh::new();
    for (sql, index) in [
        (include_str!("../sql/window.sql"), "USING INDEX entry_pending (path>?)"),
        (include_str!("../sql/removals.sql"), "USING INDEX entry_vanished (path<?)"),
        (include_str!("../sql/problems.sql"), "USING INDEX entry_problem (path>?)"),
        (
            include_str!("../sql/sources_by_inode.sql"),
            "entry_vanished_inode (r_inode=? AND r_size=? AND r_mtime=? AND o_kind=? AND r_kind=?)",
        ),
        (
            include_str!("../sql/sources_by_content.sql"),
            "entry_vanished_content (r_size=? AND r_digest=? AND o_kind=? AND r_kind=?)",
        ),
        (include_str!("../sql/undigested.sql"), "SCAN a USING COVERING INDEX entry_arrived_inode"),
        (include_str!("../sql/undigested_few.sql"), "entry_vanished_content (r_size=? AND r_digest>?)"),
        (include_str!("../sql/moved_by_inode.sql"), "SCAN entry USING COVERING INDEX entry_vanished_inode"),
        (include_str!("../sql/moved_by_inode_few.sql"), "SCAN entry USING COVERING INDEX entry_arrived_inode"),
        (include_str!("../sql/moved_by_content.sql"), "SCAN a USING INDEX entry_arrived_content"),
        (include_str!("../sql/waiting.sql"), "USING COVERING INDEX entry_retry"),
        (include_str!("../sql/oldest.sql"), "USING COVERING INDEX entry_since"),
        (include_str!("../sql/next_retry.sql"), "USING COVERING INDEX entry_retry"),
        (include_str!("../sql/twins.sql"), "USING INDEX entry_fold (fold=?)"),
        (include_str!("../sql/twins.sql"), "USING PRIMARY KEY (path=?)"),
        (include_str!("../sql/folds.sql"), "INDEX entry_fold (fold>?)"),
        (include_str!("../sql/below.sql"), "USING PRIMARY KEY (path>? AND path<?)"),
        (include_str!("../sql/under.sql"), "USING PRIMARY KEY (path>? AND path<?)"),
        (include_str!("../sql/weight.sql"), "USING PRIMARY KEY (path>? AND path<?)"),
    ] {
        let mut statement = fresh.index.db.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        for n in 1..=statement.parameter_count() {
            statement.raw_bind_parameter(n, 1).unwrap();
        }
        let mut rows = statement.raw_query();
        let mut plan = String::new();
        while let Some(row) = rows.next().unwrap() {
            plan += &format!("{}\n", row.get::<_, String>(3).unwrap());
        }
        assert!(plan.contains(index), "{sql}\n{plan}");
        assert!(!plan.contains("TEMP B-TREE"), "{sql}\n{plan}");
        assert!(!plan.lines().any(|line| line.trim_start() == "SCAN entry"), "{sql}\n{plan}");
    }
}
