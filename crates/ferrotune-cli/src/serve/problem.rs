//! What a request is answered with that cannot be served: `application/problem+json` (RFC 9457). It must not know why.

use crate::terminal::shown::short;
use axum::http::header::{CONNECTION, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// Characters of a sentence at most; what it repeats of a request is cut before.
const MOST: usize = 600;

/// A status, and one sentence that says what to do.
#[derive(Debug)]
pub struct Problem {
    /// The status of the answer.
    pub status: StatusCode,
    /// What was wrong.
    pub detail: String,
    /// Whether the connection ends with it: it can take no other request where this one was not read to its end.
    close: bool,
}

impl Problem {
    /// A problem with this status.
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Problem {
        Problem { status, detail: detail.into(), close: false }
    }

    /// The same, at the end of its connection.
    pub fn at_the_end(self) -> Problem {
        Problem { close: true, ..self }
    }

    /// What the status wants besides.
    fn header(&self) -> Option<(HeaderName, &'static str)> {
        match self.status {
            StatusCode::UNAUTHORIZED => Some((WWW_AUTHENTICATE, "Bearer")),
            StatusCode::TOO_MANY_REQUESTS => Some((RETRY_AFTER, "1")),
            _ => None,
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = json!({
            "type": "about:blank",
            "title": self.status.canonical_reason().unwrap_or("Error"),
            "status": self.status.as_u16(),
            "detail": short(&self.detail, MOST),
        });
        let mut response = (self.status, body.to_string()).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        let close = self.close.then_some((CONNECTION, "close"));
        for (name, value) in self.header().into_iter().chain(close) {
            headers.insert(name, HeaderValue::from_static(value));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::HttpBody;

    #[test]
    fn a_problem_says_its_status_and_no_more_than_so_much() {
        let problem = || Problem::new(StatusCode::TOO_MANY_REQUESTS, "x".repeat(10_000));
        assert_eq!(problem().at_the_end().into_response().headers()[CONNECTION], "close");
        let response = problem().into_response();
        assert_eq!(response.status(), 429);
        assert_eq!(response.headers()[RETRY_AFTER], "1");
        assert!(!response.headers().contains_key(CONNECTION));
        assert_eq!(response.headers()[CONTENT_TYPE], "application/problem+json");
        let length = response.body().size_hint().exact().unwrap();
        assert!(length < MOST as u64 + 120, "{length}");
    }
}
