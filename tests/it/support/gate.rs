//! A gate that a scripted origin waits at until the test opens it: how a test holds a moment still without a clock.

use std::sync::Arc;
use std::sync::Condvar;
use std::sync::Mutex;

use super::PATIENCE;

/// Closed at first. Clones are the same gate.
#[derive(Clone, Default)]
pub struct Gate(Arc<(Mutex<State>, Condvar)>);

#[derive(Default)]
struct State {
    open: bool,
    waiting: usize,
}

impl Gate {
    /// A closed gate.
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets through everyone who waits, now and later.
    pub fn open(&self) {
        self.0.0.lock().unwrap().open = true;
        self.0.1.notify_all();
    }

    /// Whether it has been opened.
    pub fn is_open(&self) -> bool {
        self.0.0.lock().unwrap().open
    }

    /// Waits until the gate is open.
    #[track_caller]
    pub fn wait(&self) {
        let mut state = self.0.0.lock().unwrap();
        state.waiting += 1;
        self.0.1.notify_all();
        let (mut state, late) = self.0.1.wait_timeout_while(state, PATIENCE, |state| !state.open).unwrap();
        state.waiting -= 1;
        drop(state);
        assert!(!late.timed_out(), "nobody opened the gate");
    }

    /// Waits until the gate is open, however long the test takes.
    pub fn wait_long(&self) {
        drop(self.0.1.wait_while(self.0.0.lock().unwrap(), |state| !state.open).unwrap());
    }

    /// Waits until `n` stand at the closed gate at once.
    #[track_caller]
    pub fn wait_for_waiting(&self, n: usize) {
        let state = self.0.0.lock().unwrap();
        let (state, late) = self.0.1.wait_timeout_while(state, PATIENCE, |state| state.waiting < n).unwrap();
        assert!(!late.timed_out(), "{} of {n} came to the gate", state.waiting);
    }
}
