//! Certificates of a host's clients: what a file says of them, what that means, and how it is written back. It refuses to know
//! what listeners say of theirs.

use std::path::PathBuf;

use super::key::Field;
use super::key::Reader;
use super::key::get;
use super::keys::tls as keys;
use super::report::Fault;
use super::report::Faults;
use super::tls::nobody;
use super::write::Lines;
use crate::model::ClientCertificates;
use crate::model::HostClients;
use crate::model::Need;

/// What `[host."PATTERN"]` says of certificates of clients.
#[derive(Default)]
pub(super) struct HostClientsForm {
    need: Field<Option<Need>>,
    ca: Field<PathBuf>,
    crl: Field<PathBuf>,
}

impl HostClientsForm {
    pub(super) fn read(reader: Option<&Reader<'_>>, faults: &mut Faults) -> Self {
        let clients = reader.and_then(|reader| reader.group(&keys::HOST_CLIENT_CERTIFICATES, faults));
        let clients = clients.as_ref();
        Self {
            need: get(clients, &keys::HOST_NEED, faults),
            ca: get(clients, &keys::CLIENT_CA, faults),
            crl: get(clients, &keys::CRL, faults),
        }
    }

    /// Notes what is wrong with it, and gives what is odd about it; `secure` says whether any listener speaks TLS.
    pub(super) fn check(&self, owner: &str, secure: bool, faults: &mut Faults) -> Option<Fault> {
        let (Some(need), Some(at)) = (self.need.value()?, self.need.at()) else { return None };
        if !self.ca.is_said() {
            nobody(owner, *need, at, faults);
        }
        let message = format!("{owner} asks for certificates of clients, and no listener speaks TLS");
        (!secure).then(|| Fault::wrong(at, message).help("name certificates as `tls` of a listener"))
    }

    /// The same as a value; nothing where it is faulty.
    pub(super) fn model(&self) -> Option<Option<HostClients>> {
        match (&self.need, &self.ca) {
            (Field::Absent, _) => Some(None),
            (Field::Faulty, _) => None,
            (Field::Set(None, _), _) => Some(Some(HostClients::Off)),
            (Field::Set(Some(need), _), ca) => {
                let (ca, crl) = (ca.value()?.clone(), self.crl.value().cloned());
                Some(Some(HostClients::Asked(ClientCertificates { need: *need, ca, crl })))
            }
        }
    }
}

/// The lines of a host.
pub(super) fn host_lines(clients: Option<&HostClients>, lines: &mut Lines) {
    let Some(clients) = clients else { return };
    let (mut shown, asked) = (Lines::default(), clients.asked());
    shown.add(&keys::HOST_NEED, &asked.map(|asked| asked.need));
    shown.add_some(&keys::CLIENT_CA, asked.map(|asked| &asked.ca));
    shown.add_some(&keys::CRL, asked.and_then(|asked| asked.crl.as_ref()));
    lines.group(keys::HOST_CLIENT_CERTIFICATES.name, &shown);
}
