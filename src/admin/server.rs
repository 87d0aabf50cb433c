//! Connections of the admin interface, bounded in number, age and in the time a request head may take. It refuses to
//! know paths.

use std::io;
use std::net::TcpListener;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::rt::TokioTimer;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tracing::warn;

use crate::admin::router;
use crate::admin::scene::Desk;

/// Makes a bound, listening socket one of the calling thread's event loop.
///
/// # Errors
/// When the system refuses, or no event loop of the control thread runs.
pub fn listener(socket: TcpListener) -> io::Result<tokio::net::TcpListener> {
    socket.set_nonblocking(true)?;
    tokio::net::TcpListener::from_std(socket)
}

/// Accepts connections and answers their requests, until it is dropped.
pub async fn serve(listener: tokio::net::TcpListener, desk: Arc<Desk>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let router = router::router(desk);
    loop {
        // Past the bound, connections wait in the kernel's queue.
        let Ok(place) = places.clone().acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let router = router.clone();
                tokio::spawn(async move {
                    converse(stream, router).await;
                    drop(place);
                });
            }
            Err(error) => {
                warn!("the admin interface cannot accept a connection: {error}");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

async fn converse(stream: TcpStream, router: Router) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let mut connection = pin!(connection);
    // How a connection ends is its client's affair: neither end is worth a line in the log.
    tokio::select! {
        _ = &mut connection => return,
        () = tokio::time::sleep(AGE) => connection.as_mut().graceful_shutdown(),
    }
    drop(tokio::time::timeout(FAREWELL, connection).await);
}

/// Open connections.
const CONNECTIONS: usize = 64;
/// From the first wait for a request to its whole head.
const HEAD: Duration = Duration::from_secs(30);
/// Bytes of a request head.
const HEAD_BYTES: usize = 16 * 1024;
/// A connection older than this is closed after its next response.
const AGE: Duration = Duration::from_mins(10);
/// How long that response may take.
const FAREWELL: Duration = Duration::from_secs(30);
/// After a failed accept; the likely cause, being out of descriptors, does not pass at once.
const PAUSE: Duration = Duration::from_millis(100);
