//! Which path answers what. It refuses to know how an answer is made: [`views`] and [`metrics`] do that, off the control
//! thread, one page at a time.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::body::Bytes;
use axum::body::to_bytes;
use axum::extract::Path;
use axum::extract::Query;
use axum::extract::Request;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::StatusCode;
use axum::http::header;
use axum::middleware::Next;
use axum::middleware::from_fn;
use axum::response::IntoResponse;
use axum::response::Response;
use axum::routing::get;
use axum::routing::patch;
use axum::routing::post;
use serde_json::Value;
use serde_json::json;
use tokio::sync::Semaphore;
use tokio::sync::oneshot;

use crate::admin::events;
use crate::admin::events::Lines;
use crate::admin::guard;
use crate::admin::metrics;
use crate::admin::orders;
use crate::admin::orders::Patch;
use crate::admin::scene::Answer;
use crate::admin::scene::Desk;
use crate::admin::scene::Reading;
use crate::admin::scene::Wish;
use crate::admin::upstreams;
use crate::admin::views;

/// Every path, with its method and what it answers.
pub const PATHS: [(&str, &str, &str); 15] = [
    ("GET", "/livez", "200 while the control thread runs"),
    ("GET", "/readyz", "200 while new connections are served, else 503 with the reason"),
    ("GET", "/metrics", "metrics as text for Prometheus; ?only=PREFIX keeps the names that begin so"),
    ("GET", "/v1/overview", "the process at a glance"),
    ("GET", "/v1/config", "the configuration in force, as JSON and as TOML"),
    ("GET", "/v1/routes", "every route with its requests"),
    ("GET", "/v1/upstreams", "every upstream with its endpoints"),
    ("GET", "/v1/upstreams/{name}", "one upstream"),
    (
        "PATCH",
        "/v1/upstreams/{name}/endpoints/{address}",
        "order something of an endpoint: {\"state\": \"ready|drain|down\", \"weight\": n or null}; 200, 404 or 422",
    ),
    ("GET", "/v1/certificates", "every certificate that is shown to others, with its end"),
    ("GET", "/v1/cores", "every core"),
    ("GET", "/v1/events", "what changes, as server-sent events; Last-Event-ID resumes, 0 begins with the oldest kept"),
    ("POST", "/v1/reload", "read the configuration anew; 200, 202 if a core is late, 422 if it is refused"),
    ("POST", "/v1/check", "judge the configuration in the body without using it; 200 or 422"),
    ("GET", "/", "this list"),
];

struct Pages {
    desk: Arc<Desk>,
    // A page of ten thousand routes costs tens of milliseconds and megabytes: one at a time bounds both.
    one: Semaphore,
    streams: Arc<Semaphore>,
}

/// The interface as a service.
pub fn router(desk: Arc<Desk>) -> Router {
    let pages = Arc::new(Pages { desk, one: Semaphore::new(1), streams: Arc::new(Semaphore::new(events::STREAMS)) });
    Router::new()
        .route("/", get(|| async { json_text(StatusCode::OK, &paths()) }))
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .route("/v1/overview", get(async |State(pages): Pg| pages.json(views::overview).await))
        .route("/v1/config", get(async |State(pages): Pg| pages.json(views::config).await))
        .route("/v1/routes", get(async |State(pages): Pg| pages.json(views::routes).await))
        .route("/v1/upstreams", get(async |State(pages): Pg| pages.json(upstreams::upstreams).await))
        .route("/v1/upstreams/{name}", get(upstream))
        .route("/v1/upstreams/{name}/endpoints/{*address}", patch(order))
        .route("/v1/events", get(follow))
        .route("/v1/certificates", get(async |State(pages): Pg| pages.json(views::certificates).await))
        .route("/v1/cores", get(async |State(pages): Pg| pages.json(views::cores).await))
        .route("/v1/reload", post(reload))
        .route("/v1/check", post(check))
        .fallback(unknown)
        .method_not_allowed_fallback(wrong_method)
        .layer(from_fn(guarded))
        .with_state(pages)
}

type Pg = State<Arc<Pages>>;

impl Pages {
    /// A page made from a reading, off the control thread.
    async fn page<T: Send + 'static>(&self, make: impl FnOnce(&Reading) -> T + Send + 'static) -> Result<T, Response> {
        let failure = || problem(StatusCode::INTERNAL_SERVER_ERROR, "the page could not be made");
        let Ok(turn) = self.one.acquire().await else { return Err(failure()) };
        let look = self.desk.read();
        let made = tokio::task::spawn_blocking(move || make(&look)).await;
        drop(turn);
        made.map_err(|_| failure())
    }

    /// Asks `control` for something, and waits for its answer.
    async fn ask(&self, wish: impl FnOnce(oneshot::Sender<Answer>) -> Wish) -> Response {
        let (asker, answer) = oneshot::channel();
        let leaving = || problem(StatusCode::SERVICE_UNAVAILABLE, "the gateway is shutting down");
        if self.desk.ask.send(wish(asker)).await.is_err() {
            return leaving();
        }
        answer.await.map_or_else(|_| leaving(), |answer| answered(&answer))
    }

    async fn json(&self, make: fn(&Reading) -> Value) -> Response {
        let text = self.page(move |reading| pretty(&make(reading))).await;
        text.map_or_else(|problem| problem, |text| typed(StatusCode::OK, JSON, text))
    }
}

async fn readyz(State(pages): Pg) -> Response {
    match pages.desk.read().ready() {
        Ok(()) => "ready\n".into_response(),
        Err(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")).into_response(),
    }
}

#[derive(serde::Deserialize)]
struct Only {
    #[serde(default)]
    only: String,
}

async fn metrics(State(pages): Pg, Query(Only { only }): Query<Only>) -> Response {
    let text = pages.page(move |reading| metrics::render(reading, &only)).await;
    text.map_or_else(|problem| problem, |text| typed(StatusCode::OK, PROMETHEUS, text))
}

async fn upstream(State(pages): Pg, Path(name): Path<String>) -> Response {
    let wanted = name.clone();
    match pages.page(move |reading| upstreams::upstream(reading, &wanted)).await {
        Ok(Some(view)) => json_text(StatusCode::OK, &view),
        Ok(None) => answered(&orders::no_upstream(&pages.desk.scene.borrow().snapshot, &name)),
        Err(problem) => problem,
    }
}

async fn reload(State(pages): Pg) -> Response {
    pages.ask(Wish::Reload).await
}

async fn order(State(pages): Pg, Path((upstream, endpoint)): Path<(String, String)>, body: Body) -> Response {
    let bytes = match read(body, PATCH_BYTES).await {
        Ok(bytes) => bytes,
        Err(problem) => return problem,
    };
    match Patch::read(&bytes) {
        Ok(patch) => pages.ask(|asker| Wish::Order { upstream, endpoint, patch, asker }).await,
        Err(answer) => answered(&answer),
    }
}

async fn follow(State(pages): Pg, head: HeaderMap) -> Response {
    let Ok(place) = pages.streams.clone().try_acquire_owned() else {
        return problem(StatusCode::SERVICE_UNAVAILABLE, "as many follow the events as may");
    };
    let last_seen = head.get("last-event-id").map(|id| String::from_utf8_lossy(id.as_bytes()));
    let lines = Lines::follow(pages.desk.book.clone(), last_seen.as_deref(), place);
    ([(header::CONTENT_TYPE, "text/event-stream")], Body::from_stream(lines)).into_response()
}

async fn check(State(pages): Pg, body: Body) -> Response {
    let bytes = match read(body, BODY_BYTES).await {
        Ok(bytes) => bytes,
        Err(problem) => return problem,
    };
    let Ok(text) = String::from_utf8(bytes.into()) else {
        return problem(StatusCode::UNPROCESSABLE_ENTITY, "the body is not UTF-8 text");
    };
    let check = pages.desk.check.clone();
    match pages.page(move |_| check(&text)).await {
        Ok(answer) => answered(&answer),
        Err(problem) => problem,
    }
}

async fn read(body: Body, max: usize) -> Result<Bytes, Response> {
    match tokio::time::timeout(BODY, to_bytes(body, max)).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(_)) => {
            let why = format!("the body must end and be at most {} KiB", max / 1024);
            Err(problem(StatusCode::PAYLOAD_TOO_LARGE, &why))
        }
        Err(_) => Err(problem(StatusCode::REQUEST_TIMEOUT, "the body did not arrive in time")),
    }
}

async fn unknown() -> Response {
    json_text(StatusCode::NOT_FOUND, &json!({ "error": "there is nothing here", "paths": paths()["paths"] }))
}

async fn wrong_method() -> Response {
    json_text(StatusCode::METHOD_NOT_ALLOWED, &json!({ "error": "not with this method", "paths": paths()["paths"] }))
}

async fn guarded(request: Request, next: Next) -> Response {
    let mut response = match guard::judge(request.method(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(why) => problem(StatusCode::FORBIDDEN, why),
    };
    let head = response.headers_mut();
    head.insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
    head.insert(header::X_CONTENT_TYPE_OPTIONS, header::HeaderValue::from_static("nosniff"));
    response
}

fn paths() -> Value {
    let list = PATHS.map(|(method, path, what)| json!({ "method": method, "path": path, "answers": what }));
    json!({ "paths": list })
}

fn answered(answer: &Answer) -> Response {
    json_text(StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), &answer.body)
}

fn problem(status: StatusCode, why: &str) -> Response {
    json_text(status, &json!({ "error": why }))
}

fn json_text(status: StatusCode, value: &Value) -> Response {
    typed(status, JSON, pretty(value))
}

fn typed(status: StatusCode, kind: &'static str, text: String) -> Response {
    (status, [(header::CONTENT_TYPE, kind)], text).into_response()
}

fn pretty(value: &Value) -> String {
    format!("{value:#}\n")
}

const JSON: &str = "application/json";
const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";
/// Bytes of a request body.
const BODY_BYTES: usize = 1024 * 1024;
/// Bytes of an order.
const PATCH_BYTES: usize = 4 * 1024;
/// From a request's head to the end of its body.
const BODY: Duration = Duration::from_secs(10);
