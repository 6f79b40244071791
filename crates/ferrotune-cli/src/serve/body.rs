//! The body of a request: read within a time, up to a size, out of a memory that all requests share. It must not know what it says.

use super::problem::Problem;
use axum::body::{Body, Bytes};
use axum::http::StatusCode;
use http_body_util::BodyExt;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// Bytes of all bodies together, from the first that is read until the answer, or twice the largest body if that is more.
const TOGETHER: usize = 64 << 20;
/// How long the rest of a body that is too large is read and forgotten: a client that is cut off while it sends does not see the answer.
const FORGET: Duration = Duration::from_millis(500);

/// The memory of all bodies that may have at most so many bytes.
pub fn room(most: usize) -> Arc<Semaphore> {
    Arc::new(Semaphore::new(TOGETHER.max(2 * most)))
}

/// Reads a body.
///
/// # Errors
/// 413 for one that is too large, 408 for one that comes too slowly, 429 where there is no memory for it now, 400 for one that ends early.
pub async fn read(
    mut body: Body,
    declared: Option<u64>,
    most: usize,
    room: &Arc<Semaphore>,
    within: Duration,
) -> Result<(Vec<u8>, OwnedSemaphorePermit), Problem> {
    let too_large = || {
        let said = format!("the body is larger than {most} bytes: send the rows in parts");
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, said)
    };
    if declared.is_some_and(|declared| declared > most as u64) {
        forget(&mut body, most).await;
        return Err(too_large());
    }
    let none =
        || Problem::new(StatusCode::TOO_MANY_REQUESTS, "the server holds too many requests now: try again later");
    let mut held = room.clone().try_acquire_many_owned(0).map_err(|_| none())?;
    let mut bytes = Vec::new();
    let reading = async {
        while let Some(part) = next(&mut body).await? {
            if bytes.len() + part.len() > most {
                return Err(too_large());
            }
            // At most `most`, and that fits.
            held.merge(room.clone().try_acquire_many_owned(part.len() as u32).map_err(|_| none())?);
            bytes.extend_from_slice(&part);
        }
        Ok(())
    };
    match timeout(within, reading).await {
        Ok(Ok(())) => Ok((bytes, held)),
        Ok(Err(problem)) => {
            if problem.status == StatusCode::PAYLOAD_TOO_LARGE {
                forget(&mut body, most).await;
            }
            Err(problem)
        }
        Err(_) => {
            let said = format!("the body did not come within {} seconds", within.as_secs());
            Err(Problem::new(StatusCode::REQUEST_TIMEOUT, said))
        }
    }
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
                return Err(Problem::new(StatusCode::BAD_REQUEST, "the body ends early, or its chunks are no chunks"));
            }
        }
    }
}

/// Reads on for a moment, and up to eight times as much as a body may have.
async fn forget(body: &mut Body, most: usize) {
    let mut left = most.saturating_mul(8);
    let reading = async {
        while let Ok(Some(part)) = next(body).await
            && part.len() < left
        {
            left -= part.len();
        }
    };
    // Either way the answer is the same.
    let _ = timeout(FORGET, reading).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_as_large_as_they_may_be_and_share_a_memory() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let room = Arc::new(Semaphore::new(15));
        let read = |text: &'static str, declared| {
            runtime.block_on(read(Body::from(text), declared, 10, &room, Duration::from_secs(5)))
        };
        let status = |read: Result<_, Problem>| read.map(drop).unwrap_err().status;
        let (bytes, first) = read("0123456789", Some(10)).unwrap();
        assert_eq!((bytes.len(), room.available_permits()), (10, 5));
        assert_eq!(status(read("0123456789x", None)), StatusCode::PAYLOAD_TOO_LARGE);
        assert_eq!(status(read("x", Some(11))), StatusCode::PAYLOAD_TOO_LARGE);
        assert_eq!(status(read("012345", None)), StatusCode::TOO_MANY_REQUESTS);
        let (_, second) = read("01234", None).unwrap();
        drop((first, second));
        assert_eq!(room.available_permits(), 15);
    }
}
