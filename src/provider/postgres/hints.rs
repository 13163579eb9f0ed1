//! Word between the processes of a hub, beside what they write.
//!
//! Owns: what is to be told and to whom it matters. Must never: be needed. What is told may be lost, or come
//! twice: whoever hears it looks sooner, and looks from time to time all the same. Proved by the tests below
//! and `__test__/listening.spec.mjs`.
//!
//! Told are: partitions in which a bell was rung, to their owners; that workers were called; that somebody waits for the end of instances,
//! to all; and, while somebody does, which instances have ended. Whoever cannot hear whether somebody waits
//! tells of every end.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::core::partition::Parts;

use super::session::instant;

/// How long others are told of ends after somebody has said that he waits.
const WANTED: Duration = Duration::from_secs(15);
/// How often it is said that somebody still waits.
const SAY_WAITING: Duration = Duration::from_secs(5);
/// Most ended instances in one message. PostgreSQL takes less than 8,000 bytes.
const MARKS: usize = 600;
/// Longest wait at a close for what is still to be told.
const LAST_WORD: Duration = Duration::from_millis(500);

/// What a process hears.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hint {
    /// Something was written for this worker.
    Bells,
    /// Instances with these marks have ended, see [`mark`].
    Ended(Vec<u32>),
    /// Any instance may have ended.
    AnyEnded,
}

/// Who is told what this process hears; on a thread of its own.
pub type Listener = Box<dyn Fn(Hint) + Send + Sync>;

/// What an instance is called in a hint. Several may have the same one.
#[must_use]
pub fn mark(id: &str) -> u32 {
    id.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

/// See the module's text.
pub struct Hints {
    listener: Listener,
    state: Mutex<State>,
    hears: AtomicBool,
    done: Condvar,
    /// For the thread of the connection: there is something to do.
    pub(super) wake: Notify,
}

#[derive(Default)]
struct State {
    /// To be told.
    next: Message,
    /// The partitions of this worker.
    mine: Parts,
    /// Until when others want to know of ends.
    wanted: Option<Instant>,
    /// When it was last said that somebody waits here.
    said: Option<Instant>,
    closing: bool,
    /// The thread has ended.
    gone: bool,
}

/// One message, as it is sent: words, of which unknown ones are passed over.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Message {
    /// Bells for the owners of these.
    pub(super) rung: Parts,
    /// All workers are called.
    pub(super) called: bool,
    ended: Vec<u32>,
    any_ended: bool,
    waiting: bool,
}

/// What the thread of the connection is to do.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    Tell(Message),
    Wait,
    End,
}

impl Hints {
    pub(super) fn new(listener: Listener) -> Arc<Self> {
        Arc::new(Self {
            listener,
            state: Mutex::default(),
            hears: AtomicBool::new(false),
            done: Condvar::new(),
            wake: Notify::new(),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether what others tell is heard now.
    #[must_use]
    pub fn hears(&self) -> bool {
        self.hears.load(Ordering::Acquire)
    }

    /// Somebody in this process waits for the end of an instance that another one runs.
    pub fn wait(&self) {
        let mut state = self.state();
        if state.said.is_none_or(|said| said.elapsed() >= SAY_WAITING) {
            state.said = Some(instant());
            state.next.waiting = true;
            self.wake.notify_one();
        }
    }

    /// An instance has ended, and that is on disk.
    pub fn ended(&self, id: &str) {
        let mut state = self.state();
        if self.hears() && !state.is_wanted() {
            return;
        }
        state.next.end(mark(id));
        self.wake.notify_one();
    }

    /// Bells were rung, or workers called, and that is on disk.
    pub(super) fn tell(&self, written: &Message) {
        if !written.is_empty() {
            let mut state = self.state();
            state.next.rung = state.next.rung.with(written.rung);
            state.next.called |= written.called;
            self.wake.notify_one();
        }
    }

    /// The partitions of this worker, from now on.
    pub(super) fn own(&self, parts: Parts) {
        self.state().mine = parts;
    }

    /// Ends the thread, which may tell what it has to.
    pub fn close(&self) {
        let mut state = self.state();
        state.closing = true;
        self.wake.notify_one();
        if !state.next.is_empty() {
            let waits = |state: &mut State| !state.gone;
            drop(self.done.wait_timeout_while(state, LAST_WORD, waits));
        }
    }

    // --------------------------------------------------- for the thread of the connection

    pub(super) fn next(&self) -> Next {
        let mut state = self.state();
        if !state.next.is_empty() {
            Next::Tell(std::mem::take(&mut state.next))
        } else if state.closing {
            Next::End
        } else {
            Next::Wait
        }
    }

    /// Whether there is something to tell, or to end.
    pub(super) fn is_asked(&self) -> bool {
        let state = self.state();
        state.closing || !state.next.is_empty()
    }

    pub(super) fn is_closing(&self) -> bool {
        self.state().closing
    }

    pub(super) fn gone(&self) {
        self.state().gone = true;
        self.done.notify_all();
    }

    /// From now on everything is heard, or nothing. What was told before was not heard either way.
    pub(super) fn set_hears(&self, hears: bool) {
        if self.hears.swap(hears, Ordering::AcqRel) == hears {
            return;
        }
        if hears {
            // Whoever waits says so again by then.
            self.state().wanted = Some(instant() + SAY_WAITING * 2);
        }
        (self.listener)(Hint::Bells);
        (self.listener)(Hint::AnyEnded);
    }

    pub(super) fn hear(&self, message: Message) {
        let mut state = self.state();
        let bells = message.called || state.mine.meets(message.rung);
        if message.waiting {
            // One that has ended since he last looked was told to nobody.
            if !state.is_wanted() {
                state.next.any_ended = true;
                self.wake.notify_one();
            }
            state.wanted = Some(instant() + WANTED);
        }
        drop(state);
        if bells {
            (self.listener)(Hint::Bells);
        }
        if message.any_ended {
            (self.listener)(Hint::AnyEnded);
        } else if !message.ended.is_empty() {
            (self.listener)(Hint::Ended(message.ended));
        }
    }
}

impl State {
    fn is_wanted(&self) -> bool {
        self.wanted.is_some_and(|until| instant() < until)
    }
}

impl Message {
    pub(super) const CALL: Self = Self {
        rung: Parts::NONE,
        called: true,
        ended: Vec::new(),
        any_ended: false,
        waiting: false,
    };

    fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    fn end(&mut self, mark: u32) {
        if self.ended.len() == MARKS {
            self.any_ended = true;
        }
        if self.any_ended {
            self.ended.clear();
        } else {
            self.ended.push(mark);
        }
    }

    pub(super) fn encode(&self) -> String {
        let mut words: Vec<String> = self.rung.iter().map(|part| format!("b{part}")).collect();
        words.extend(self.called.then(|| "c".to_owned()));
        words.extend(self.waiting.then(|| "w".to_owned()));
        if self.any_ended {
            words.push("e".to_owned());
        } else {
            words.extend(self.ended.iter().map(|mark| format!("e{mark:x}")));
        }
        words.join(" ")
    }

    pub(super) fn decode(text: &str) -> Self {
        let mut message = Self::default();
        for word in text.split(' ') {
            let Some((kind, rest)) = word.split_at_checked(1) else { continue };
            match (kind, rest) {
                ("b", part) => message.rung.extend(part.parse()),
                ("c", "") => message.called = true,
                ("w", "") => message.waiting = true,
                ("e", "") => message.any_ended = true,
                ("e", mark) => message.ended.extend(u32::from_str_radix(mark, 16)),
                _ => {}
            }
        }
        message
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, channel};

    use super::*;

    fn hints() -> (Arc<Hints>, Receiver<Hint>) {
        let (sender, heard) = channel();
        (Hints::new(Box::new(move |hint| drop(sender.send(hint)))), heard)
    }

    fn hearing() -> (Arc<Hints>, Receiver<Hint>) {
        let (hints, heard) = hints();
        hints.set_hears(true);
        assert_eq!(heard.try_iter().collect::<Vec<_>>(), [Hint::Bells, Hint::AnyEnded]);
        hints.state().wanted = None;
        (hints, heard)
    }

    fn message(text: &str) -> Message {
        Message::decode(text)
    }

    #[test]
    fn a_message_is_read_as_it_was_sent_and_has_room() {
        let rung = Parts::first(256);
        let mut full = Message { waiting: true, called: true, rung, ..Message::default() };
        (0..MARKS).for_each(|n| full.end(u32::MAX - u32::try_from(n).unwrap_or_default()));
        for message in [Message::default(), full.clone()] {
            assert_eq!(Message::decode(&message.encode()), message);
        }
        assert!(full.encode().len() < 8_000);
        full.end(1);
        assert!(full.any_ended && full.ended.is_empty());
        assert_eq!(Message::decode(&full.encode()), full);
        assert!(message("x b b999 b-1 ezz é").is_empty());
    }

    #[test]
    fn bells_wake_the_owner_of_their_partition() {
        let (hints, heard) = hearing();
        hints.own([7].into_iter().collect());
        hints.hear(message("b6 b8"));
        assert!(heard.try_recv().is_err());
        for told in ["b7", "c"] {
            hints.hear(message(told));
            assert_eq!(heard.try_recv(), Ok(Hint::Bells));
        }
    }

    #[test]
    fn ends_are_told_while_somebody_waits() {
        let (hints, heard) = hearing();
        hints.ended("nobody-waits");
        assert_eq!(hints.next(), Next::Wait);
        hints.hear(message("w"));
        assert_eq!(hints.next(), Next::Tell(message("e")), "what ended before he came");
        hints.hear(message("w"));
        hints.ended("one");
        let told = message(&format!("e{:x}", mark("one")));
        assert_eq!(hints.next(), Next::Tell(told.clone()));
        hints.hear(told);
        assert_eq!(heard.try_recv(), Ok(Hint::Ended(vec![mark("one")])));
    }

    #[test]
    fn one_that_hears_nothing_tells_of_every_end() {
        let (hints, _) = hints();
        hints.ended("one");
        assert_ne!(hints.next(), Next::Wait);
    }

    #[test]
    fn waiting_is_said_once_in_a_while_and_all_that_is_to_be_told_is_one_message() {
        let (hints, _) = hearing();
        hints.wait();
        hints.wait();
        hints.tell(&message("b3"));
        hints.tell(&message("b1"));
        assert_eq!(hints.next(), Next::Tell(message("b1 b3 w")));
        hints.wait();
        assert_eq!(hints.next(), Next::Wait);
    }

    #[test]
    fn what_is_to_be_told_is_told_before_the_end() {
        let (hints, _) = hints();
        hints.tell(&message("b3"));
        hints.gone();
        hints.close();
        assert_eq!(hints.next(), Next::Tell(message("b3")));
        assert_eq!(hints.next(), Next::End);
    }
}
