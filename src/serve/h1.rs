//! Step 3: HTTP/1, turn by turn. A head is awaited, read, and exchanged for a response; then the connection is kept or
//! closed. Pipelined requests are answered in order, since the next head is looked at only when the turn is over.

use std::rc::Rc;
use std::time::Duration;

use crate::http::head::HeadLimits;
use crate::model;
use crate::serve::conn::Client;
use crate::serve::exchange;
use crate::serve::reply;
use crate::shard::Shard;
use crate::wire::h1;
use crate::wire::h1::NoRequest;

/// What becomes of a connection after an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Another request may come.
    Keep,
    /// Nothing more to say, and nothing more to hear.
    Close,
    /// Nothing more to say, but the client may still be sending: it must be able to read our last words before the
    /// connection goes.
    Linger,
}

/// What a lingering close reads at the most, and for how long.
const LINGER_BYTES: usize = 256 * 1024;
const LINGER_TIME: Duration = Duration::from_secs(2);

/// Serves request after request.
pub(crate) async fn turns(shard: &Rc<Shard>, client: &mut Client) {
    loop {
        let fate = match next_head(shard, client).await {
            Ok(()) => exchange::exchange(shard, client).await,
            Err(NoRequest::Ended) => Fate::Close,
            Err(reason) => reply::refuse_head(shard, client, reason).await,
        };
        match fate {
            Fate::Keep => client.served += 1,
            Fate::Close => return,
            Fate::Linger => return client.line.linger(LINGER_BYTES, LINGER_TIME).await,
        }
    }
}

/// Waits for the next request and reads its head. From accept, or from a request's first byte, the whole head has one
/// time; between requests the connection may idle.
async fn next_head(shard: &Shard, client: &mut Client) -> Result<(), NoRequest> {
    let generation = shard.generation();
    // A listener that has left the configuration takes no more requests.
    let settings = &generation.listener(client.place.listener).ok_or(NoRequest::Ended)?.settings;
    let first = client.served == 0;
    let mut patience = Some(settings.head_timeout);
    if client.inbound.is_empty() {
        if shard.draining.get() {
            return Err(NoRequest::Ended);
        }
        let wait = if first { settings.head_timeout } else { settings.idle_timeout };
        h1::await_request(&client.line, &mut client.inbound, wait).await?;
        // The first head has one time from accept on: the deadline that is armed goes on.
        patience = patience.filter(|_| !first);
    }
    let limits = limits(settings);
    h1::read_request(&client.line, &mut client.inbound, &mut client.request, &limits, patience).await
}

fn limits(settings: &model::Listener) -> HeadLimits {
    HeadLimits { head_bytes: settings.head_bytes, fields: settings.fields, target_bytes: settings.target_bytes }
}
