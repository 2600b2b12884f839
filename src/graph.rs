//! What needs what, among images and among tests: circles, everything that a choice brings along, and running side by
//! side what may.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZero;
use std::panic::resume_unwind;
use std::thread;

use futures::StreamExt;
use futures::stream::FuturesUnordered;

use crate::error::Result;

/// What a value that is nested a hundred levels deep takes without optimisation, and some.
const STACK: usize = 16 << 20;

/// Names, and what each of them needs.
pub(crate) type Needs = BTreeMap<String, Vec<String>>;

/// A circle: the names on it, the first again at the end.
pub(crate) fn cycle(needs: &Needs) -> Option<Vec<String>> {
    let mut known = BTreeSet::new();
    needs.keys().find_map(|name| follow(needs, name, &mut known))
}

/// The circle that is reached from here by names that are not known yet. The way is a list and no recursion: a thousand
/// images in a row are no reason to die of.
fn follow<'a>(needs: &'a Needs, start: &'a String, known: &mut BTreeSet<&'a String>) -> Option<Vec<String>> {
    let (mut way, mut on_way) = (Vec::new(), BTreeSet::new());
    let open = |name| needs.get(name).map(Vec::as_slice).unwrap_or_default().iter();
    if known.insert(start) {
        way.push((start, open(start)));
        on_way.insert(start);
    }
    while let Some((name, needed)) = way.last_mut() {
        let Some(next) = needed.next() else {
            on_way.remove(*name);
            way.pop();
            continue;
        };
        if on_way.contains(next) {
            let names = way.iter().map(|(name, _)| *name).skip_while(|name| *name != next);
            return Some(names.chain([next]).cloned().collect());
        }
        if known.insert(next) {
            way.push((next, open(next)));
            on_way.insert(next);
        }
    }
    None
}

/// The chosen names with everything that they need, directly or not.
pub(crate) fn with_needs(chosen: impl IntoIterator<Item = String>, needs: &Needs) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    let mut open: Vec<String> = chosen.into_iter().collect();
    while let Some(name) = open.pop() {
        if all.insert(name.clone()) {
            open.extend(needs.get(&name).into_iter().flatten().cloned());
        }
    }
    all
}

/// How the work on one name ended.
#[derive(Debug)]
pub(crate) enum Ended<T> {
    /// It was done, well or not.
    Done(Result<T>),
    /// It was never begun: this one, which it needs, was not well.
    Left(String),
}

/// Does the work on every name as soon as what it needs is done, on at most `limit` names at the same time. `work` is
/// handed the results so far, those of what the name needs among them. Names that are needed but not among the keys are
/// taken for done.
pub(crate) async fn run<T, F>(
    needs: &Needs,
    limit: usize,
    mut work: impl FnMut(&str, &BTreeMap<String, T>) -> F,
) -> BTreeMap<String, Ended<T>>
where
    F: Future<Output = Result<T>>,
{
    let mut waiting: BTreeSet<&String> = needs.keys().collect();
    let mut running = FuturesUnordered::new();
    let (mut done, mut ended) = (BTreeMap::new(), BTreeMap::new());
    loop {
        let bad = |name: &&String| ended.contains_key(*name) && !done.contains_key(*name);
        let left: Vec<_> =
            waiting.iter().filter_map(|name| Some((*name, needs[*name].iter().find(bad)?.clone()))).collect();
        if !left.is_empty() {
            for (name, why) in left {
                waiting.remove(name);
                ended.insert(name.clone(), Ended::Left(why));
            }
            continue;
        }
        let met = |one: &String| done.contains_key(one) || !needs.contains_key(one);
        let ready: Vec<_> = waiting.iter().filter(|name| needs[**name].iter().all(met)).copied().collect();
        for name in ready.into_iter().take(limit.saturating_sub(running.len())) {
            waiting.remove(name);
            let future = work(name, &done);
            running.push(async move { (name, future.await) });
        }
        let Some((name, result)) = running.next().await else { break };
        match result {
            Ok(value) => drop(done.insert(name.clone(), value)),
            Err(error) => drop(ended.insert(name.clone(), Ended::Done(Err(error)))),
        }
    }
    ended.extend(done.into_iter().map(|(name, value)| (name, Ended::Done(Ok(value)))));
    ended
}

/// What `work` makes of each of these, in their order, on all processors.
pub(crate) fn in_parallel<T: Send, R: Send>(all: Vec<T>, work: impl Fn(T) -> R + Sync) -> Vec<R> {
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    if all.len().min(threads) < 2 {
        return all.into_iter().map(work).collect();
    }
    let share = all.len().div_ceil(threads);
    let (mut rest, mut shares) = (all.into_iter(), Vec::new());
    while rest.len() > 0 {
        shares.push(rest.by_ref().take(share).collect::<Vec<T>>());
    }
    thread::scope(|scope| {
        let work = &work;
        let spawn = |share: Vec<T>| {
            let thread = thread::Builder::new().stack_size(STACK);
            let begin = move || share.into_iter().map(work).collect::<Vec<R>>();
            thread.spawn_scoped(scope, begin).expect("the system has a thread left")
        };
        let spawned: Vec<_> = shares.into_iter().map(spawn).collect();
        let joined = spawned.into_iter().map(|one| one.join().unwrap_or_else(|panic| resume_unwind(panic)));
        joined.flatten().collect()
    })
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};

    use super::*;
    use crate::error::{Error, Kind};

    fn needs(pairs: &[(&str, &[&str])]) -> Needs {
        let names = |list: &[&str]| list.iter().map(|name| (*name).to_owned()).collect();
        pairs.iter().map(|(name, list)| ((*name).to_owned(), names(list))).collect()
    }

    #[test]
    fn a_cycle_is_shown_from_its_first_name_to_its_first_name() {
        let shown = |pairs: &[(&str, &[&str])]| cycle(&needs(pairs)).map(|names| names.join(" "));
        assert_eq!(shown(&[("a", &["b"]), ("b", &["c", "d"]), ("c", &[]), ("d", &["b"])]).unwrap(), "b d b");
        assert_eq!(shown(&[("a", &["a"])]).unwrap(), "a a");
        assert_eq!(shown(&[("a", &["b", "c"]), ("b", &["c"]), ("c", &[])]), None);
    }

    #[test]
    fn a_choice_brings_along_what_it_needs() {
        let needs = needs(&[("a", &["b"]), ("b", &["c"]), ("c", &[]), ("d", &[])]);
        let all: Vec<_> = with_needs(["a".to_owned()], &needs).into_iter().collect();
        assert_eq!(all, ["a", "b", "c"]);
    }

    #[tokio::test]
    async fn everything_runs_in_order_and_what_cannot_is_left() {
        let needs = needs(&[
            ("a", &[]),
            ("b", &["a"]),
            ("bad", &["a"]),
            ("c", &["b"]),
            ("d", &["bad"]),
            ("e", &["d"]),
        ]);
        let (order, at_once) = (RefCell::new(Vec::new()), Cell::new((0_u32, 0_u32)));
        let ended = run(&needs, 2, |name, done: &BTreeMap<String, usize>| {
            order.borrow_mut().push(name.to_owned());
            let (bad, seen, at_once) = (name == "bad", done.len(), &at_once);
            async move {
                let (now, most) = at_once.get();
                at_once.set((now + 1, most.max(now + 1)));
                tokio::task::yield_now().await;
                let (now, most) = at_once.get();
                at_once.set((now - 1, most));
                if bad { Err(Error::new(Kind::Build, "no")) } else { Ok(seen) }
            }
        })
        .await;
        assert_eq!(*order.borrow(), ["a", "b", "bad", "c"]);
        assert_eq!(at_once.get().1, 2);
        let left = |name: &str| matches!(&ended[name], Ended::Left(why) if !why.is_empty());
        assert!(left("d") && left("e"), "{ended:?}");
        assert!(matches!(ended["c"], Ended::Done(Ok(2 | 3))), "{ended:?}");
    }

    #[test]
    fn what_is_done_on_all_processors_comes_in_its_order() {
        for count in [0, 1, 2, 3, 1000] {
            let doubled = in_parallel((0..count).collect(), |number: u32| number * 2);
            assert_eq!(doubled, (0..count).map(|number| number * 2).collect::<Vec<_>>());
        }
        let panics = std::panic::catch_unwind(|| in_parallel(vec![1, 2, 3], |number| assert_ne!(number, 2)));
        assert!(panics.is_err(), "a panic goes on to the caller");
    }
}
