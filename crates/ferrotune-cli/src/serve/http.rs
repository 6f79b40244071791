//! The paths of the server and what they answer. It must not know the model: rows go into the queue, and what is said of them comes back.

use super::auth::Key;
use super::health::Health;
use super::metrics::Metrics;
use super::problem::Problem;
use super::queue::{Failed, Job, NoPlace, Queue, Said};
use super::request::{Asked, Kind, Refused, read};
use super::shutdown::Stop;
use super::{Limits, body};
use axum::Router;
use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::Value;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::{Semaphore, oneshot};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

/// Bodies of so many bytes are read as JSON beside the thread that serves all connections.
const LARGE: usize = 64 << 10;

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
    pub room: Arc<Semaphore>,
}

/// All paths.
pub fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/predict", post(predict))
        .route("/info", get(info))
        .route("/metrics", get(metrics))
        .route_layer(from_fn_with_state(shared.clone(), with_key))
        .route("/livez", get(|| async { "alive\n" }))
        .route("/readyz", get(ready))
        .fallback(nothing_there)
        .method_not_allowed_fallback(other_method)
        .layer(from_fn_with_state(shared.clone(), counted))
        .with_state(shared)
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
    if path == "/predict" && response.status() == StatusCode::OK {
        shared.metrics.answered_within(begin.elapsed());
    }
    response
}

async fn with_key(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    let sent = request.headers().get(AUTHORIZATION).map(HeaderValue::as_bytes);
    if shared.key.as_ref().is_some_and(|key| !key.opens(sent)) {
        return Problem::new(StatusCode::UNAUTHORIZED, "send the key in the header `Authorization: Bearer KEY`")
            .into_response();
    }
    next.run(request).await
}

async fn ready(State(shared): State<Arc<Shared>>) -> Result<&'static str, Problem> {
    let problem = |said| Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, said));
    if shared.stop.is_set() {
        return problem("the server is stopping");
    }
    if shared.health.is_broken() {
        return problem("one computation after the other fails");
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
    if shared.stop.is_set() {
        return Err(stopping());
    }
    let (Parts { headers, .. }, body) = request.into_parts();
    if headers.get(CONTENT_ENCODING).is_some_and(|encoding| !encoding.as_bytes().eq_ignore_ascii_case(b"identity")) {
        let said = "send the body as plain JSON: it is not unpacked here";
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, said));
    }
    let declared = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    let Limits { max_body, max_rows, read_timeout, .. } = shared.limits;
    let (bytes, room) = body::read(body, declared, max_body, &shared.room, read_timeout).await?;
    let kind = shared.kind;
    let asked = if bytes.len() < LARGE {
        read(&bytes, kind, max_rows)
    } else {
        spawn_blocking(move || read(&bytes, kind, max_rows)).await.map_err(|_| broken())?
    };
    let Asked { rows, many } = asked.map_err(|refused| match refused {
        Refused::NotJson(said) => Problem::new(StatusCode::BAD_REQUEST, said),
        Refused::Wrong(said) => Problem::new(StatusCode::UNPROCESSABLE_ENTITY, said),
        Refused::TooMany(said) => Problem::new(StatusCode::PAYLOAD_TOO_LARGE, said),
    })?;
    let (reply, answer) = oneshot::channel();
    shared.queue.push(Job { rows, reply, _room: Some(room) }).map_err(|none| match none {
        NoPlace::Full => {
            let said = format!("{} requests wait already: try again later", shared.limits.max_waiting);
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
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the server is stopping: ask another one")
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
