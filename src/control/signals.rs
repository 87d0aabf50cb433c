//! Signals of the process, as commands. It refuses to know what a command does.

use std::future::pending;
use std::io;

use tokio::signal::unix::Signal;
use tokio::signal::unix::SignalKind;
use tokio::signal::unix::signal;

use crate::control::Command;

/// The signals that are followed; none when they were not taken.
pub(super) struct Signals(Option<Taken>);

struct Taken {
    hangup: Signal,
    terminate: Signal,
    interrupt: Signal,
    quit: Signal,
    user1: Signal,
}

impl Signals {
    pub(super) fn take(wanted: bool) -> io::Result<Self> {
        if !wanted {
            return Ok(Self(None));
        }
        Ok(Self(Some(Taken {
            hangup: signal(SignalKind::hangup())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            quit: signal(SignalKind::quit())?,
            user1: signal(SignalKind::user_defined1())?,
        })))
    }

    /// The next signal's command. May be dropped while it waits.
    pub(super) async fn next(&mut self) -> Command {
        let Some(taken) = &mut self.0 else { return pending().await };
        tokio::select! {
            Some(()) = taken.quit.recv() => Command::Stop,
            Some(()) = taken.terminate.recv() => Command::Drain,
            Some(()) = taken.interrupt.recv() => Command::Drain,
            Some(()) = taken.hangup.recv() => Command::Reload,
            Some(()) = taken.user1.recv() => Command::ReopenLog,
            else => pending().await,
        }
    }
}
