//! HTTP spoken over a connection, for either side: heads ([`h1`]) and bodies ([`body`]). It refuses to know routes,
//! endpoints and what an exchange is for.

pub mod body;
pub mod h1;
