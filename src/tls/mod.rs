//! TLS, on both sides: rustls with aws-lc-rs, driven over our own blocks. It refuses to know sockets (those are `io`'s,
//! which takes an [`engine::Engine`] for its cipher) and requests.
//!
//! Reading order: [`hello`] (what a client begins with) → [`engine`] (one connection) → [`server`], [`client`] (what its side is configured by) → [`names`],
//! [`tickets`] (what a server chooses by) → [`store`] (what is made of the files that a configuration names) → [`files`],
//! [`certificate`] (how they are read).
//!
//! Keys are in the memory of rustls and aws-lc-rs, which wipe what they drop. What is read of a secret's file here is wiped
//! when it is dropped: its text, and the key's DER. What a reader of PEM has held meanwhile is not. Nothing of this module
//! shows a secret when it is printed.

pub mod certificate;
pub mod client;
pub mod engine;
pub mod files;
pub mod hello;
pub mod names;
pub mod server;
pub mod store;
pub mod tickets;

use std::sync::Arc;

use rustls::SupportedProtocolVersion;
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs;

use crate::model::Policy;

/// The protocol that is settled on by ALPN.
const HTTP_1_1: &[u8] = b"http/1.1";

/// What rustls computes with: the X25519MLKEM768 exchange is preferred, and taken where the other side has it too.
fn provider() -> Arc<CryptoProvider> {
    // Its default suites are those with forward secrecy and authenticated encryption, and no others.
    Arc::new(aws_lc_rs::default_provider())
}

fn versions(policy: Policy) -> &'static [&'static SupportedProtocolVersion] {
    match policy {
        Policy::Modern => MODERN,
        Policy::Intermediate => INTERMEDIATE,
    }
}

static MODERN: &[&SupportedProtocolVersion] = &[&rustls::version::TLS13];
static INTERMEDIATE: &[&SupportedProtocolVersion] = &[&rustls::version::TLS13, &rustls::version::TLS12];

#[cfg(test)]
mod line_tests;
