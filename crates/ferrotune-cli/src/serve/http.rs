//! The paths of the server and what they answer. It must not know the model: rows go into the queue, and what is said of them comes back.

use super::Limits;
use super::auth::Key;
use super::body::{self, Room};
use super::health::Health;
use super::metrics::Metrics;
use super::problem::Problem;
use super::queue::{Failed, Job, NoPlace, Queue, Said};
use super::request::{Asked, Kind, Most, Refused, read};
use super::shutdown::Stop;
use axum::Router;
use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, CONNECTION, CONTENT_ENCODING, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::Value;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::oneshot;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

/// Bodies of so many bytes are read as JSON beside the thread that serves all connections.
const LARGE: usize = 64 << 10;
/// The one path that takes bodies.
const PREDICT: &str = "/predict";

/// What all requests share.
pub struct Shared {
    /// Where rows wait.
    pub queue: Arc<Queue>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Whether computations work.
    pub health: Arc<Health>,
    /// Whether the program is to stop.
    pub stop: Stop,
    /// What requests may cost.
    pub limits: Limits,
    /// What rows are.
    pub kind: Kind,
    /// What `/info` says.
    pub info: Value,
    /// The key that requests must know.
    pub key: Option<Key>,
    /// The memory of their bodies.
    pub room: Room,
}

/// All paths.
pub fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route(PREDICT, post(predict))
        .route("/info", get(info))
        .route("/metrics", get(metrics))
        .route_layer(from_fn_with_state(shared.clone(), with_key))
        .route("/livez", get(|| async { "alive\n" }))
        .route("/readyz", get(ready))
        .fallback(nothing_there)
        .method_not_allowed_fallback(other_method)
        .layer(from_fn_with_state(shared.clone(), without_body))
        .layer(from_fn_with_state(shared.clone(), counted))
        .with_state(shared)
}

/// What is answered where there is no place for more connections.
pub fn health_alone(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/livez", get(|| async { "alive\n" }))
        .route("/readyz", get(ready))
        .fallback(no_place)
        .layer(from_fn_with_state(shared.clone(), without_body))
        .layer(from_fn_with_state(shared.clone(), counted))
        .with_state(shared)
}

async fn no_place() -> Problem {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "too many connections are open: close some, or try again later")
}

async fn nothing_there() -> Problem {
    let said = "there is nothing: the paths are POST /predict and GET /livez, /readyz, /info, /metrics";
    Problem::new(StatusCode::NOT_FOUND, said)
}

async fn other_method() -> Problem {
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "the path takes another method: POST for /predict, GET for all others")
}

async fn counted(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    let (begin, path) = (Instant::now(), request.uri().path().to_string());
    let response = next.run(request).await;
    shared.metrics.response(&path, response.status().as_u16());
    if path == PREDICT && response.status() == StatusCode::OK {
        shared.metrics.answered_within(begin.elapsed());
    }
    response
}

/// Passes over the bodies of requests that want none, so that the next request of the connection is found behind them.
async fn without_body(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    if request.method() == Method::POST && request.uri().path() == PREDICT {
        return next.run(request).await;
    }
    let (head, mut body) = request.into_parts();
    let ended = body::forget(&head.headers, &mut body, &shared.room).await;
    let mut response = next.run(Request::from_parts(head, body)).await;
    if !ended {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

async fn with_key(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    let sent = request.headers().get(AUTHORIZATION).map(HeaderValue::as_bytes);
    if shared.key.as_ref().is_some_and(|key| !key.opens(sent)) {
        let problem = Problem::new(StatusCode::UNAUTHORIZED, "send the key in the header `Authorization: Bearer KEY`");
        let (Parts { headers, .. }, body) = request.into_parts();
        return body::refuse(&headers, body, &shared.room, problem).await.into_response();
    }
    next.run(request).await
}

async fn ready(State(shared): State<Arc<Shared>>) -> Result<&'static str, Problem> {
    let problem = |said| Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, said));
    if shared.stop.is_set() {
        return problem("the server is stopping");
    }
    if let Some(trouble) = shared.health.trouble(shared.limits.timeout) {
        return problem(trouble);
    }
    Ok("ready\n")
}

async fn info(State(shared): State<Arc<Shared>>) -> Response {
    json(format!("{:#}\n", shared.info))
}

async fn metrics(State(shared): State<Arc<Shared>>) -> Response {
    let text = shared.metrics.text(shared.queue.len(), env!("CARGO_PKG_VERSION"));
    with_type(text, "text/plain; version=0.0.4; charset=utf-8")
}

fn json(text: String) -> Response {
    with_type(text, "application/json")
}

fn with_type(text: String, content_type: &'static str) -> Response {
    let mut response = text.into_response();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

async fn predict(State(shared): State<Arc<Shared>>, request: Request) -> Result<Response, Problem> {
    let (Parts { headers, .. }, body) = request.into_parts();
    if shared.stop.is_set() {
        return Err(body::refuse(&headers, body, &shared.room, stopping()).await);
    }
    if headers.get(CONTENT_ENCODING).is_some_and(|encoding| !encoding.as_bytes().eq_ignore_ascii_case(b"identity")) {
        let said = "send the body as plain JSON: it is not unpacked here";
        let problem = Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, said);
        return Err(body::refuse(&headers, body, &shared.room, problem).await);
    }
    let (bytes, room) = body::read(&headers, body, &shared.room, shared.limits.read_timeout).await?;
    let (kind, large) = (shared.kind, bytes.len() >= LARGE);
    let most = Most { rows: shared.limits.max_rows, words: shared.limits.max_batch_tokens };
    // The room goes where the bytes go: who goes away gives it back no sooner than they are gone.
    let reading = move || (read(&bytes, kind, most), room);
    let (asked, room) = if large { spawn_blocking(reading).await.map_err(|_| broken())? } else { reading() };
    let Asked { rows, many } = asked.map_err(|refused| match refused {
        Refused::NotJson(said) => Problem::new(StatusCode::BAD_REQUEST, said),
        Refused::Wrong(said) => Problem::new(StatusCode::UNPROCESSABLE_ENTITY, said),
        Refused::TooMany(said) => Problem::new(StatusCode::PAYLOAD_TOO_LARGE, said),
    })?;
    let (since, (reply, answer)) = (Instant::now(), oneshot::channel());
    shared.queue.push(Job { since, rows, reply, _room: Some(room) }).map_err(|none| match none {
        NoPlace::Full => {
            let said = format!("{} requests wait already: try again later", shared.limits.max_waiting);
            Problem::new(StatusCode::TOO_MANY_REQUESTS, said)
        }
        NoPlace::Slow => {
            let said = "requests that came before still wait, for half of what one may: try again later";
            Problem::new(StatusCode::TOO_MANY_REQUESTS, said)
        }
        NoPlace::Closed => stopping(),
    })?;
    // Whoever goes away or is late drops its end of the channel here, and the worker sees it.
    let answer = timeout(shared.limits.timeout, answer).await.map_err(|_| {
        let said = format!(
            "no answer within {} seconds: send fewer rows, or try again later",
            shared.limits.timeout.as_secs()
        );
        Problem::new(StatusCode::GATEWAY_TIMEOUT, said)
    })?;
    let said = answer.map_err(|_| stopping())?.map_err(|failed| failure(failed, many, &shared.limits))?;
    Ok(json(written(said, many)))
}

/// The objects as `predict` writes them.
fn written(mut said: Vec<Said>, many: bool) -> String {
    if many {
        let rows: Vec<Value> = said.into_iter().map(Value::from).collect();
        serde_json::json!({ "predictions": rows }).to_string()
    } else {
        said.pop().map(Value::from).unwrap_or_default().to_string()
    }
}

fn stopping() -> Problem {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the server is stopping: ask another one").at_the_end()
}

fn broken() -> Problem {
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the computation failed; other requests are not touched by it")
}

fn failure(failed: Failed, many: bool, limits: &Limits) -> Problem {
    let which = |row: usize| if many { format!("row {}", row + 1) } else { "the row".to_string() };
    match failed {
        Failed::Refused(said) => Problem::new(StatusCode::UNPROCESSABLE_ENTITY, said),
        Failed::TooLong { row, tokens } => {
            let most = limits.max_batch_tokens;
            let said = format!("{} has {tokens} tokens, and at most {most} are read: send it in parts", which(row));
            Problem::new(StatusCode::PAYLOAD_TOO_LARGE, said)
        }
        Failed::NotANumber { row } => {
            let said = format!("the model's scores of {} are no numbers", which(row));
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, said)
        }
        Failed::Broken => broken(),
    }
}
