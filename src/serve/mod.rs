//! START HERE. A whole request, read from the top:
//!
//! 1. [`accept`]: a connection arrives, is counted and admitted, and gets a task of its own.
//! 2. [`conn`]: who the client is, and what is kept for it as long as it stays.
//! 3. [`h1`]: turn by turn, a request head is awaited and read; afterwards the connection is kept or closed.
//! 4. [`exchange`]: one request: its route, its attempts, its end. The heart; one screen.
//! 5. [`course`]: its attempts, one endpoint after another, from its admission to the answer; what is tried next.
//! 6. [`attempt`]: one try at one endpoint: the request goes out, the response comes back, bodies flow both ways.
//! 7. [`respond`]: the response, from its head to its last byte.
//! 8. [`tunnel`]: what follows an upgrade or CONNECT that an endpoint has agreed to: bytes both ways, no requests.
//! 9. [`reply`]: the answers that the gateway gives itself.
//!
//! Beside them, [`secure`] makes the TLS handshake before the first request, [`admit`] says whether a request may go on at all and lets it wait its turn, [`hedge`] helps an attempt that
//! takes long by a second one, and [`tally`] counts what an exchange did and makes the record of it.
//!
//! `serve` decides nothing: routes are found by `route`, endpoints picked by `balance`, what may be tried again is said by
//! `policy`, framing is settled by `http`. It has no type parameters and holds no borrow of the shard across an await.

pub mod accept;
pub(crate) mod admit;
pub(crate) mod attempt;
pub(crate) mod conn;
pub(crate) mod course;
pub(crate) mod exchange;
pub(crate) mod h1;
pub(crate) mod hedge;
pub(crate) mod reply;
pub(crate) mod respond;
pub(crate) mod secure;
pub(crate) mod tally;
pub(crate) mod tunnel;
