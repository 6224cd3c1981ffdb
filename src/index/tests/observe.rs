use proptest::prelude::*;

use super::*;

fn found() -> impl Strategy<Value = Observation> {
    let path = "[a-cA](/[a-cé]){0,3}".prop_map(|path| p(&path));
    let entry = prop_oneof![
        4 => (0..3u64, 1..5u64).prop_map(|(size, inode)| file(size, inode)),
        2 => (1..5u64).prop_map(dir),
        1 => Just(Entry::Link { target: Digest([7; 32]) }),
    ];
    prop_oneof![
        8 => (path.clone(), entry).prop_map(|(path, entry)| Observation::Is(path, entry)),
        1 => path.clone().prop_map(Observation::Gone),
        1 => path.prop_map(Observation::Ignored),
    ]
}

/// A row's path, its folded one, and since when it is pending.
type Pending = (Vec<u8>, Option<Vec<u8>>, Option<i64>);

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(60) })]
    /// Batches that are new go in as a whole: that must come to the same as row after row.
    #[test]
    fn a_batch_comes_to_what_its_rows_come_to(batches in prop::collection::vec((prop::collection::vec(found(), 0..150), any::<bool>()), 1..4)) {
        let (mut whole, mut single) = (Fresh::new(), Fresh::new());
        for (mut batch, sorted) in batches {
            if sorted {
                let path = |found: &Observation| match found {
                    Observation::Is(path, _) | Observation::Gone(path) | Observation::Ignored(path) => path.clone(),
                };
                batch.sort_by_key(path);
                batch.dedup_by_key(|found| path(found));
            }
            let changed = whole.index.observe(&batch, at(1)).unwrap().changed;
            prop_assert_eq!(changed, single.index.write(at(1), |books| super::super::observe::each(books, &batch)).unwrap());
            let rows = |fresh: &Fresh| fresh.index.reader().unwrap().rows(None, None, usize::MAX >> 1).unwrap();
            prop_assert_eq!(rows(&whole), rows(&single));
            prop_assert_eq!(books::totals(&whole.index.db).unwrap(), books::totals(&single.index.db).unwrap());
            let folds = |fresh: &Fresh| -> Vec<Pending> {
                let mut rows = fresh.index.db.prepare("SELECT path, fold, since FROM entry ORDER BY path").unwrap();
                rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap().map(Result::unwrap).collect()
            };
            prop_assert_eq!(folds(&whole), folds(&single));
        }
    }
}
