//! The kernel's watcher, whose queue overflows now and then; notes what was passed on.

use std::{
    collections::BTreeMap,
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, Waker},
};

use towline::{
    model::RelPath,
    watch::{Hint, KernelWatcher, Watcher},
};

/// Of a thousand hints, so many are an overflow in the variant that has some.
const OVERFLOWS: u32 = 20;
/// At most so many hints are lost with one.
const LOST: usize = 200;
/// What the names of marks start with.
const MARK: &str = "mark-";

/// How often each mark was heard by the engine.
#[derive(Clone, Default)]
pub(super) struct Heard(Arc<Mutex<BTreeMap<RelPath, u32>>>);

impl Heard {
    /// The name of mark number `n` of its kind.
    pub(super) fn mark(n: u32, kind: &str) -> String {
        format!("{MARK}{n}-{kind}")
    }

    /// How often it was heard.
    pub(super) fn times(&self, mark: &str) -> u32 {
        let path = RelPath::new(mark).unwrap();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&path).copied().unwrap_or_default()
    }

    fn note(&self, hint: &Hint) {
        if let Hint::Path(path) = hint
            && path.as_bytes().starts_with(MARK.as_bytes())
        {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(path.clone()).or_default() += 1;
        }
    }
}

pub(super) struct Ears {
    pub(super) inner: KernelWatcher,
    /// Makes the overflows; none without it.
    pub(super) overflows: Option<fastrand::Rng>,
    pub(super) heard: Heard,
}

impl Ears {
    /// What waits in the queue gets lost, up to some number.
    fn lose(&mut self, most: usize) {
        let mut cx = Context::from_waker(Waker::noop());
        for _ in 0..most {
            match pin!(self.inner.next()).poll(&mut cx) {
                Poll::Ready(hint) => assert!(matches!(hint, Hint::Path(_) | Hint::Overflow), "{hint:?}"),
                Poll::Pending => return,
            }
        }
    }
}

impl Watcher for Ears {
    async fn next(&mut self) -> Hint {
        let hint = self.inner.next().await;
        if let Some(random) = &mut self.overflows
            && random.u32(..1000) < OVERFLOWS
            && matches!(hint, Hint::Path(_))
        {
            let most = random.usize(..LOST);
            self.lose(most);
            return Hint::Overflow;
        }
        self.heard.note(&hint);
        hint
    }
}
