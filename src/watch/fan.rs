//! [`Fan`]: hands each hint to all who listen to one directory. Each has a bounded queue of its own, so that one who is slow loses
//! details alone. It knows nothing of kernels.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::{Hint, queue::Queue};

#[derive(Debug, Default)]
pub(super) struct Fan(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// One who does not listen any more has dropped its queue.
    queues: Vec<Weak<Queue>>,
    /// Somebody was told of the limit of watches: whoever comes later is told of it, too.
    limited: bool,
    /// Nothing is heard any more.
    over: bool,
}

impl Fan {
    /// One more who listens, to what comes from now on; `None` when nothing will.
    pub(super) fn join(&self) -> Option<Arc<Queue>> {
        let mut state = self.state();
        if state.over {
            return None;
        }
        let queue = Arc::new(Queue::default());
        if state.limited {
            queue.push(Hint::Limited);
        }
        state.queues.retain(|queue| queue.strong_count() > 0);
        state.queues.push(Arc::downgrade(&queue));
        Some(queue)
    }

    /// Hands `hint` to everybody; never waits.
    pub(super) fn push(&self, hint: &Hint) {
        let mut state = self.state();
        state.limited |= *hint == Hint::Limited;
        state.over |= *hint == Hint::RootGone;
        state.queues.iter().filter_map(Weak::upgrade).for_each(|queue| queue.push(hint.clone()));
    }

    /// Nothing is heard any more: nobody else can join.
    pub(super) fn end(&self) {
        self.state().over = true;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::model::RelPath;

    fn heard(queue: &Queue) -> Vec<Hint> {
        std::iter::from_fn(|| queue.pop()).collect()
    }

    fn path(n: u8) -> Hint {
        Hint::Path(RelPath::new(format!("{n}")).unwrap())
    }

    #[test]
    fn who_is_slow_loses_details_alone() {
        let fan = Fan::default();
        let (slow, quick) = (fan.join().unwrap(), fan.join().unwrap());
        for n in 0..=super::super::queue::MOST {
            fan.push(&Hint::Path(RelPath::new(format!("{n}")).unwrap()));
            assert_eq!(heard(&quick).len(), 1);
        }
        assert_eq!(heard(&slow), [Hint::Overflow]);
    }

    #[test]
    fn who_comes_later_hears_of_the_limit_and_nobody_joins_what_is_over() {
        let fan = Fan::default();
        let first = fan.join().unwrap();
        fan.push(&Hint::Limited);
        fan.push(&path(1));
        assert_eq!(heard(&fan.join().unwrap()), [Hint::Limited]);
        assert_eq!(heard(&first), [Hint::Limited, path(1)]);
        fan.push(&Hint::RootGone);
        assert!(fan.join().is_none());
        assert_eq!(heard(&first), [Hint::RootGone]);
    }

    #[derive(Clone, Debug)]
    enum Step {
        Join(u8),
        Leave(u8),
        Hear(u8),
        Push(Hint),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let who = 0_u8..4;
        prop::collection::vec(
            prop_oneof![
                who.clone().prop_map(Step::Join),
                who.clone().prop_map(Step::Leave),
                who.prop_map(Step::Hear),
                any::<u8>().prop_map(|n| Step::Push(path(n))),
                Just(Step::Push(Hint::Overflow)),
            ],
            0..60,
        )
    }

    proptest! {
        /// However others come, go and dawdle: each hears what it would have heard alone.
        #[test]
        fn nobody_is_disturbed_by_the_others(steps in steps()) {
            let fan = Fan::default();
            let mut all: BTreeMap<u8, (Arc<Queue>, Queue)> = BTreeMap::new();
            for step in steps {
                match step {
                    Step::Join(who) => drop(all.insert(who, (fan.join().unwrap(), Queue::default()))),
                    Step::Leave(who) => drop(all.remove(&who)),
                    Step::Hear(who) => {
                        if let Some((shared, own)) = all.get(&who) {
                            prop_assert_eq!(shared.pop(), own.pop());
                        }
                    }
                    Step::Push(hint) => {
                        fan.push(&hint);
                        all.values().for_each(|(_, own)| own.push(hint.clone()));
                    }
                }
            }
            for (shared, own) in all.values() {
                prop_assert_eq!(heard(shared), heard(own));
            }
        }
    }
}
