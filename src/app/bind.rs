//! Opens the listeners' addresses, at start and for control. It refuses to know what is accepted there.

use std::os::fd::OwnedFd;

use crate::address::Address;
use crate::control::Bound;
use crate::control::Held;
use crate::control::SocketFile;
use crate::io::listen;
use crate::io::socket_file;
use crate::model;
use crate::shard::mailbox::Opened;
use crate::snapshot::Snapshot;

/// Opens every address of every listener: what is held, and each core's sockets. What was opened before a failure is
/// closed again.
pub(super) fn all(snapshot: &Snapshot, cores: usize) -> Result<(Vec<Held>, Vec<Vec<Opened>>), String> {
    let mut held = Vec::new();
    let mut hands: Vec<Vec<Opened>> = (0..cores).map(|_| Vec::new()).collect();
    for listener in &snapshot.listeners {
        for bind in &listener.settings.bind {
            let Bound { address, sockets, file } =
                one(&listener.settings, bind, cores, false).map_err(|text| format!("error: {text}"))?;
            for (hand, socket) in hands.iter_mut().zip(sockets) {
                hand.push(Opened { slot: listener.slot, address: bind.clone(), socket });
            }
            held.push(Held { listener: listener.settings.name.clone(), bind: bind.clone(), address, file });
        }
    }
    Ok((held, hands))
}

/// Opens one address of a listener.
pub(super) fn one(listener: &model::Listener, bind: &Address, cores: usize, ours: bool) -> Result<Bound, String> {
    let opened = listen::open(bind, cores, ours, listener.socket_mode)
        .map_err(|error| format!("listener \"{}\": cannot listen on {bind}: {error}", listener.name))?;
    let file = opened.file.map(|file| Box::new(file) as Box<dyn SocketFile>);
    Ok(Bound { address: opened.address, sockets: opened.sockets, file })
}

impl SocketFile for socket_file::SocketFile {
    fn share(&self, count: usize) -> Result<Vec<OwnedFd>, String> {
        self.share(count).map_err(|error| error.to_string())
    }

    fn set_mode(&self, mode: u32) -> Result<(), String> {
        self.set_mode(mode).map_err(|error| error.to_string())
    }
}
