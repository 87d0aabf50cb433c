//! What the three demo services answer. Every answer is JSON and says who gave it. The module refuses to know how an
//! endpoint's pace and faults are decided.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Context;
use std::task::Poll;
use std::task::ready;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::body::Bytes;
use axum::extract::Path;
use axum::extract::Request;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::StatusCode;
use axum::http::header;
use axum::middleware;
use axum::middleware::Next;
use axum::response::IntoResponse;
use axum::response::Response;
use axum::routing::get;
use axum::routing::post;
use futures_core::Stream;
use serde_json::Value;
use serde_json::json;
use tokio::time::Sleep;

use crate::demo::call;
use crate::demo::place::Place;
use crate::demo::place::Service;

/// Lines of the streamed answer.
const LINES: u32 = 5;
/// Between two lines of the streamed answer.
const PAUSE: Duration = Duration::from_millis(200);

/// The streamed answer: a line, a pause, a line.
struct Lines {
    place: Arc<Place>,
    next: u32,
    pause: Pin<Box<Sleep>>,
}

type Here = State<Arc<Place>>;

/// Everything one endpoint answers.
pub(super) fn router(place: Arc<Place>) -> Router {
    let own = match place.service {
        Service::Orders => Router::new()
            .route("/orders", get(orders))
            .route("/orders/{id}", get(order))
            .route("/orders/stream", get(stream))
            .route("/orders/checkout", post(checkout)),
        Service::Payments => Router::new().route("/payments", get(payments)).route("/payments/charge", post(charge)),
        Service::Shipping => Router::new().route("/shipping", get(shipping)).route("/shipping/labels", post(label)),
    };
    // The pace is that of the service; whether it is alive is said at once.
    own.route_layer(middleware::from_fn_with_state(place.clone(), pace))
        .route("/healthz", get(healthz))
        .fallback(unknown)
        .with_state(place)
}

/// Lets a request wait as long as this endpoint takes, and fail where this endpoint fails.
async fn pace(State(place): Here, request: Request, next: Next) -> Response {
    let turn = place.turn();
    tokio::time::sleep(turn.takes).await;
    if turn.fails {
        let error = format!("{} fails every fourth request, and this was its {}th", place.name, turn.number);
        return say(&place, StatusCode::SERVICE_UNAVAILABLE, json!({ "error": error }));
    }
    next.run(request).await
}

async fn orders(State(place): Here) -> Response {
    let orders = json!([{ "id": 1, "item": "kettle" }, { "id": 2, "item": "teapot" }, { "id": 3, "item": "two cups" }]);
    say(&place, StatusCode::OK, json!({ "orders": orders }))
}

async fn order(State(place): Here, Path(id): Path<String>) -> Response {
    say(&place, StatusCode::OK, json!({ "order": { "id": id, "item": "kettle", "state": "packed" } }))
}

async fn stream(State(place): Here) -> Response {
    let lines = Lines { place, next: 1, pause: Box::pin(tokio::time::sleep(Duration::ZERO)) };
    ([(header::CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(lines)).into_response()
}

/// Asks payments for the money and then shipping for a label, both through the gateway.
async fn checkout(State(place): Here, from: HeaderMap, _body: Bytes) -> Response {
    let mut said = json!({});
    for (what, path, body) in [
        ("payment", "/payments/charge", json!({ "amount": "42.00 EUR" })),
        ("shipping", "/shipping/labels", json!({ "to": "1 Teapot Lane" })),
    ] {
        match ask(&place, path, &from, &body).await {
            Ok(answer) => said[what] = answer,
            Err(error) => {
                said["error"] = error.into();
                return say(&place, StatusCode::BAD_GATEWAY, said);
            }
        }
    }
    said["order"] = "complete".into();
    say(&place, StatusCode::OK, said)
}

async fn payments(State(place): Here) -> Response {
    say(&place, StatusCode::OK, json!({ "payments": [{ "id": 1, "amount": "42.00 EUR" }] }))
}

async fn charge(State(place): Here, _body: Bytes) -> Response {
    say(&place, StatusCode::OK, json!({ "charged": true }))
}

async fn shipping(State(place): Here) -> Response {
    say(&place, StatusCode::OK, json!({ "parcels": [{ "id": 1, "state": "on its way" }] }))
}

async fn label(State(place): Here, _body: Bytes) -> Response {
    say(&place, StatusCode::CREATED, json!({ "label": format!("{}-label", place.name) }))
}

async fn healthz(State(place): Here) -> Response {
    say(&place, StatusCode::OK, json!({ "healthy": true }))
}

async fn unknown(State(place): Here) -> Response {
    let error = format!("{} has nothing under this path and method", place.service.name());
    say(&place, StatusCode::NOT_FOUND, json!({ "error": error }))
}

/// What another service said, or in words why it did not do what it was asked.
async fn ask(place: &Place, path: &str, from: &HeaderMap, body: &Value) -> Result<Value, String> {
    let gateway = place.gateway().ok_or("it is not known yet where the gateway is")?;
    let answer = call::post(gateway, path, from, &body.to_string())
        .await
        .map_err(|fault| format!("POST {path} through the gateway failed: {fault}"))?;
    let text = String::from_utf8_lossy(&answer.body);
    if !(200..300).contains(&answer.status) {
        return Err(format!("POST {path} through the gateway was answered {}: {}", answer.status, text.trim()));
    }
    serde_json::from_str(&text).map_err(|_| format!("POST {path} through the gateway was answered no JSON"))
}

impl Stream for Lines {
    type Item = Result<String, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.next > LINES {
            return Poll::Ready(None);
        }
        ready!(self.pause.as_mut().poll(task));
        self.pause = Box::pin(tokio::time::sleep(PAUSE));
        let said = line(&self.place, json!({ "line": self.next, "of": LINES }));
        self.next += 1;
        Poll::Ready(Some(Ok(said)))
    }
}

fn say(place: &Place, status: StatusCode, said: Value) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], line(place, said)).into_response()
}

/// A JSON object with the one who says it, and a line end for those who read it in a terminal.
fn line(place: &Place, mut said: Value) -> String {
    said["service"] = place.service.name().into();
    said["endpoint"] = place.name.as_str().into();
    said["port"] = place.port.into();
    format!("{said}\n")
}
