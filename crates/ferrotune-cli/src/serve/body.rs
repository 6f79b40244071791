//! The body of a request: read within a time, up to a size, out of a memory that all requests share. It must not know what it says.

use super::problem::Problem;
use axum::body::{Body, Bytes, HttpBody};
use axum::http::header::{CONTENT_LENGTH, EXPECT};
use axum::http::{HeaderMap, StatusCode};
use http_body_util::BodyExt;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// Bytes that all bodies share, from the first that is read until the answer, or twice the largest body if that is more.
const TOGETHER: usize = 64 << 20;
/// Bytes that each body has for itself, so that those who send much and slowly keep nobody else out. Connections are counted, which bounds them all.
const OWN: usize = 64 << 10;
/// How long the rest of a body that is refused is read and forgotten: a client that is cut off while it sends does not see the answer.
const FORGET: Duration = Duration::from_millis(500);

/// What bodies may take.
#[derive(Clone)]
pub struct Room {
    shared: Arc<Semaphore>,
    own: usize,
    most: usize,
}

/// What a body takes of the room; given back when this is dropped.
pub type Held = OwnedSemaphorePermit;

impl Room {
    /// Room for bodies that may have at most so many bytes.
    pub fn new(most: usize) -> Room {
        Room { shared: Arc::new(Semaphore::new(TOGETHER.max(2 * most))), own: OWN, most }
    }

    /// Takes so many bytes of what is shared.
    fn take(&self, bytes: usize) -> Result<Held, Problem> {
        // More than a permit can count is more than there is.
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        self.shared.clone().try_acquire_many_owned(bytes).map_err(|_| {
            let said = "the server holds too many large bodies now: send the rows in parts, or try again later";
            Problem::new(StatusCode::TOO_MANY_REQUESTS, said)
        })
    }
}

/// Reads a body.
///
/// # Errors
/// 413 for one that is too large, 408 for one that comes too slowly, 429 where there is no memory for it now, 400 for one that ends early.
pub async fn read(
    headers: &HeaderMap,
    mut body: Body,
    room: &Room,
    within: Duration,
) -> Result<(Vec<u8>, Held), Problem> {
    let declared = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if declared.is_some_and(|declared| declared > room.most as u64) {
        return Err(refuse(headers, body, room, too_large(room.most)).await);
    }
    let reading = keep(&mut body, declared.map_or(room.most, |declared| declared as usize), room);
    match timeout(within, reading).await {
        Ok(Ok(read)) => Ok(read),
        // Who asked whether to send it has been told to.
        Ok(Err(problem)) => Err(refuse(&HeaderMap::new(), body, room, problem).await),
        Err(_) => {
            let said =
                format!("the body did not come within {} seconds: send it faster, or in parts", within.as_secs());
            Err(Problem::new(StatusCode::REQUEST_TIMEOUT, said).at_the_end())
        }
    }
}

fn too_large(most: usize) -> Problem {
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, format!("the body is larger than {most} bytes: send the rows in parts"))
}

/// The bytes of a body that is expected to have at most so many.
async fn keep(body: &mut Body, expected: usize, room: &Room) -> Result<(Vec<u8>, Held), Problem> {
    let (mut bytes, mut held) = (Vec::new(), room.take(0)?);
    while let Some(part) = next(body).await? {
        let length = bytes.len() + part.len();
        if length > room.most {
            return Err(too_large(room.most));
        }
        // What counts is what is reserved, and nothing is reserved because somebody says that he will send it.
        if length > bytes.capacity() {
            let capacity = length.max((2 * length).min(expected));
            let shared = capacity.saturating_sub(room.own);
            held.merge(room.take(shared - held.num_permits())?);
            bytes.reserve_exact(capacity - bytes.len());
        }
        bytes.extend_from_slice(&part);
    }
    Ok((bytes, held))
}

/// The next part of a body; none at its end.
async fn next(body: &mut Body) -> Result<Option<Bytes>, Problem> {
    loop {
        match body.frame().await {
            None => return Ok(None),
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data() {
                    return Ok(Some(data));
                }
            }
            Some(Err(_)) => {
                let said = "the body ends early, or its chunks are no chunks: send it whole";
                return Err(Problem::new(StatusCode::BAD_REQUEST, said).at_the_end());
            }
        }
    }
}

/// A problem of a request whose body is not wanted: at the end of the connection if there is more of it than can be passed over.
pub async fn refuse(headers: &HeaderMap, mut body: Body, room: &Room, problem: Problem) -> Problem {
    if forget(headers, &mut body, room).await { problem } else { problem.at_the_end() }
}

/// Reads on for a moment, and up to eight times as much as a body may have. Whether that was the end.
pub async fn forget(headers: &HeaderMap, body: &mut Body, room: &Room) -> bool {
    // Who asks whether to send a body is told to as soon as it is read.
    if body.is_end_stream() || headers.contains_key(EXPECT) {
        return body.is_end_stream();
    }
    let mut left = room.most.saturating_mul(8);
    let reading = async {
        loop {
            match next(body).await {
                Ok(None) => return true,
                Ok(Some(part)) if part.len() < left => left -= part.len(),
                _ => return false,
            }
        }
    };
    timeout(FORGET, reading).await.unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    #[test]
    fn bodies_are_as_large_as_they_may_be_and_share_a_memory() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let room = Room { shared: Arc::new(Semaphore::new(15)), own: 4, most: 10 };
        let read = |text: &'static str, declared: Option<u32>| {
            let headers = declared.map(|length| (CONTENT_LENGTH, HeaderValue::from(length)));
            runtime.block_on(read(&HeaderMap::from_iter(headers), Body::from(text), &room, Duration::from_secs(5)))
        };
        let status = |read: Result<_, Problem>| read.map(drop).unwrap_err().status;
        let left = || room.shared.available_permits();
        // The first four bytes are its own.
        let (bytes, first) = read("0123456789", Some(10)).unwrap();
        assert_eq!((bytes.len(), bytes.capacity(), left()), (10, 10, 9));
        assert_eq!(status(read("0123456789x", None)), StatusCode::PAYLOAD_TOO_LARGE);
        assert_eq!(status(read("x", Some(11))), StatusCode::PAYLOAD_TOO_LARGE);
        let (_, second) = read("0123456789", Some(10)).unwrap();
        assert_eq!(left(), 3);
        // There is no place for large ones, and there is for small ones.
        assert_eq!(status(read("01234567", Some(8))), StatusCode::TOO_MANY_REQUESTS);
        let (_, third) = read("0123", Some(4)).unwrap();
        let (_, fourth) = read("0123456", Some(7)).unwrap();
        assert_eq!(left(), 0);
        assert_eq!(status(read("01234", Some(5))), StatusCode::TOO_MANY_REQUESTS);
        drop((first, second, third, fourth));
        // A length that is not said may be guessed too large.
        let (bytes, _fifth) = read("012345", None).unwrap();
        assert_eq!(left(), 15 - (bytes.capacity() - 4));
    }

    #[test]
    fn what_is_not_wanted_is_passed_over_unless_it_is_much_or_not_yet_sent() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let room = Room { shared: Arc::new(Semaphore::new(15)), own: 4, most: 2 };
        let asks = HeaderMap::from_iter([(EXPECT, HeaderValue::from_static("100-continue"))]);
        for (headers, text, ends) in [
            (HeaderMap::new(), "0123456789", true),
            (HeaderMap::new(), "01234567890123456789", false),
            (HeaderMap::new(), "", true),
            (asks.clone(), "", true),
            (asks, "0123", false),
        ] {
            assert_eq!(runtime.block_on(forget(&headers, &mut Body::from(text), &room)), ends, "{text}");
        }
    }
}
