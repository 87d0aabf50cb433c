//! Anything that a model may say of TLS.

use std::path::PathBuf;
use std::time::Duration;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use super::time;
use crate::model::ClientCertificates;
use crate::model::HostClients;
use crate::model::Hsts;
use crate::model::ListenTls;
use crate::model::Need;
use crate::model::Pair;
use crate::model::Policy;
use crate::model::UnknownName;
use crate::model::UpstreamTls;

fn path() -> impl Strategy<Value = PathBuf> {
    "/[ -~é]{0,20}[a-z$]".prop_map(PathBuf::from)
}

fn policy() -> impl Strategy<Value = Policy> {
    select(vec![Policy::Modern, Policy::Intermediate])
}

/// TLS, what browsers are told, and where requests are sent on to: not all of it at once.
pub(super) fn listens() -> impl Strategy<Value = (Option<ListenTls>, Option<Hsts>, Option<u16>)> {
    let age = (1..=63_244_800_u64).prop_map(Duration::from_secs);
    let hsts =
        (age, any::<bool>(), any::<bool>()).prop_map(|(age, subdomains, preload)| Hsts { age, subdomains, preload });
    let ports = prop_oneof![Just(443), 1..=u16::MAX];
    (option::of(listen()), option::of(hsts), option::of(ports)).prop_map(|(tls, hsts, redirect)| {
        (tls.clone(), hsts.filter(|_| tls.is_some()), redirect.filter(|_| tls.is_none()))
    })
}

fn clients() -> impl Strategy<Value = ClientCertificates> {
    (select(vec![Need::Optional, Need::Required]), path(), option::of(path()))
        .prop_map(|(need, ca, crl)| ClientCertificates { need, ca, crl })
}

/// What a host says instead of its listener.
pub(super) fn host_clients() -> impl Strategy<Value = HostClients> {
    prop_oneof![Just(HostClients::Off), clients().prop_map(HostClients::Asked)]
}

fn listen() -> impl Strategy<Value = ListenTls> {
    let pair =
        (path(), path(), option::of(path())).prop_map(|(cert, key, ocsp)| Pair { cert, key, ocsp, names: Vec::new() });
    let names = select(vec![UnknownName::First, UnknownName::Refuse]);
    let bounds = (time(100, 60_000), 1..=1_000_000_u32, 1024..=65_536_usize);
    let tickets = (any::<bool>(), option::of(path()));
    (vec(pair, 1..4), policy(), names, bounds, tickets, option::of(clients())).prop_map(
        |(certificates, policy, unknown_name, bounds, tickets, clients)| {
            let ((timeout, at_once, hello_bytes), (tickets, ticket_keys)) = (bounds, tickets);
            ListenTls {
                certificates,
                policy,
                unknown_name,
                timeout,
                at_once,
                hello_bytes,
                tickets,
                ticket_keys,
                clients,
            }
        },
    )
}

/// With a name, so that any endpoint can be known by it.
pub(super) fn upstream() -> impl Strategy<Value = UpstreamTls> {
    let name = "([a-z0-9]([a-z0-9-]{0,5}[a-z0-9])?\\.){1,3}[a-z]{2,5}";
    let identity = option::of((path(), path()));
    (name, option::of(path()), identity, vec(any::<[u8; 32]>(), 0..3), policy(), any::<bool>()).prop_map(
        |(name, ca, identity, pins, policy, insecure)| UpstreamTls {
            name: Some(name),
            ca,
            identity,
            pins,
            policy,
            insecure,
        },
    )
}
