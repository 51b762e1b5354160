//! Supervision of the actors themselves. actix lets an actor that panics vanish without a word; here
//! it is caught, logged with the actor's path, and the actor goes on from its last saved state under
//! the same address. The message that it panicked at is gone; those behind it are served.
//!
//! An actor that panics more than [`RESTARTS_MAX`] times within [`PERIOD`] is given up: its address
//! goes dead, and whoever asks it is told so. Nothing else of the daemon is touched.

use std::{
    any::Any,
    collections::VecDeque,
    panic::AssertUnwindSafe,
    rc::Rc,
    time::{Duration, Instant},
};

use actix::{Actor, Addr, Context, Supervised};
use futures_util::FutureExt as _;

/// More panics than this within [`PERIOD`] are no accident.
const RESTARTS_MAX: usize = 5;
/// The time in which panics are counted.
const PERIOD: Duration = Duration::from_secs(10);

/// Whoever wants to hear of panics: the path of the actor, what it said, and whether it goes on.
pub type OnPanic = Rc<dyn Fn(&str, &str, bool)>;

/// Starts an actor and watches over it. `path` names it in the log, as `workspace/api/process/lead`.
///
/// The actor ends with its context (`ctx.stop()`), and [`Supervised::restarting`] must bring it back
/// to its last saved state.
pub fn start<A>(path: String, actor: A, on_panic: OnPanic) -> Addr<A>
where
    A: Actor<Context = Context<A>> + Supervised,
{
    let mut actor = Box::pin(Context::new().into_future(actor));
    let address = actor.address();
    let held = address.clone();
    actix_rt::spawn(async move {
        // while this is held, a moment without other senders does not end the actor
        let _held = held;
        let mut panics: VecDeque<Instant> = VecDeque::new();
        loop {
            let Err(panic) = AssertUnwindSafe(&mut actor).catch_unwind().await else { return };
            let now = Instant::now();
            panics.push_back(now);
            while panics.front().is_some_and(|t| now.duration_since(*t) > PERIOD) {
                panics.pop_front();
            }
            let goes_on = panics.len() <= RESTARTS_MAX;
            on_panic(&path, text(panic.as_ref()), goes_on);
            if !goes_on {
                return;
            }
            // never restart within the poll that panicked: others have their turn first
            tokio::task::yield_now().await;
            if std::panic::catch_unwind(AssertUnwindSafe(|| actor.restart())).is_err() {
                on_panic(&path, "panicked again while it was brought back", false);
                return;
            }
        }
    });
    address
}

fn text(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("panicked without a text")
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use actix::{Handler, Message};

    use super::*;

    struct Counter {
        count: u32,
    }
    impl Actor for Counter {
        type Context = Context<Self>;
    }
    impl Supervised for Counter {
        fn restarting(&mut self, _: &mut Context<Self>) {
            self.count = 100;
        }
    }

    #[derive(Message)]
    #[rtype(result = "u32")]
    struct Add;
    impl Handler<Add> for Counter {
        type Result = u32;
        fn handle(&mut self, _: Add, _: &mut Context<Self>) -> u32 {
            self.count += 1;
            self.count
        }
    }

    #[derive(Message)]
    #[rtype(result = "()")]
    struct Fault;
    impl Handler<Fault> for Counter {
        type Result = ();
        fn handle(&mut self, _: Fault, _: &mut Context<Self>) {
            panic!("a fault of ours");
        }
    }

    type Log = Rc<RefCell<Vec<String>>>;

    fn watched() -> (Log, OnPanic) {
        let log = Log::default();
        let to = log.clone();
        (log, Rc::new(move |path, what, on| to.borrow_mut().push(format!("{path}: {what} ({on})"))))
    }

    #[actix::test]
    async fn a_panic_is_logged_with_the_path_and_the_actor_goes_on_from_its_saved_state() {
        let (log, on_panic) = watched();
        let sick = start("workspace/a/process/x".into(), Counter { count: 0 }, on_panic.clone());
        let well = start("workspace/b/process/y".into(), Counter { count: 0 }, on_panic);
        assert_eq!(well.send(Add).await.ok(), Some(1));
        assert!(sick.send(Fault).await.is_err(), "only its own sender learns of it");
        assert_eq!(sick.send(Add).await.ok(), Some(101), "same address, saved state");
        assert_eq!(well.send(Add).await.ok(), Some(2), "the neighbour knows nothing of it");
        assert_eq!(*log.borrow(), ["workspace/a/process/x: a fault of ours (true)"]);
    }

    #[actix::test]
    async fn messages_behind_the_one_that_panicked_are_served() {
        let (_, on_panic) = watched();
        let actor = start("x".into(), Counter { count: 0 }, on_panic);
        let fault = actor.send(Fault);
        let behind = actor.send(Add);
        assert!(fault.await.is_err());
        assert_eq!(behind.await.ok(), Some(101));
    }

    #[actix::test]
    async fn an_actor_that_panics_all_the_time_is_given_up() {
        let (log, on_panic) = watched();
        let actor = start("x".into(), Counter { count: 0 }, on_panic);
        for _ in 0..=RESTARTS_MAX {
            assert!(actor.send(Fault).await.is_err());
        }
        assert!(actor.send(Add).await.is_err());
        assert_eq!(log.borrow().last().map(String::as_str), Some("x: a fault of ours (false)"));
    }
}
