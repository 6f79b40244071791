//! Connections: accepted up to a number, served one request after the other, and finished when the program is to stop. It must not know what requests
//! ask for. The loop is our own because that of axum sets no time for headers.

use super::Limits;
use super::metrics::Metrics;
use super::shutdown::Stop;
use super::slow_readers::Timed;
use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::future::{Future, poll_fn};
use std::io::{self, ErrorKind};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::{Duration, Instant};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// Connections at a time; others wait in the system's own queue.
const MOST: usize = 1024;
/// Bytes of a header; one that comes in few large reads may have somewhat more.
const HEADER: usize = 64 << 10;
/// A header must come within so long, where bodies have longer. A connection without a request is closed after it too.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// An answer must be taken within so long.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// How long no connection is accepted after the system refused one.
const PAUSE: Duration = Duration::from_millis(100);
/// How often that is said.
const SAID: Duration = Duration::from_secs(60);

/// Serves until the program is to stop, and what is in flight then.
///
/// # Errors
/// The system does not give the listener.
pub async fn serve(
    listener: std::net::TcpListener,
    router: Router,
    mut stop: Stop,
    limits: &Limits,
    metrics: &Arc<Metrics>,
) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let listener = TcpListener::from_std(listener)?;
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(limits.read_timeout.min(HEADER_TIMEOUT)).max_buf_size(HEADER);
    let places = Arc::new(Semaphore::new(MOST));
    let (mut open, mut said) = (JoinSet::new(), None::<Instant>);
    while let Some(accepted) = next(&listener, &places, &mut stop).await {
        while open.try_join_next().is_some() {}
        match accepted {
            Ok((stream, place)) => {
                let service = TowerToHyperService::new(router.clone());
                open.spawn(connection(http.clone(), stream, service, stop.clone(), metrics.clone(), place));
            }
            // The client has gone before it was its turn.
            Err(error) if matches!(error.kind(), ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset) => {}
            Err(error) => {
                if said.is_none_or(|said| said.elapsed() > SAID) {
                    eprintln!("warning: connections cannot be accepted now: {error}");
                    said = Some(Instant::now());
                }
                sleep(PAUSE).await;
            }
        }
    }
    drop(listener);
    let all = async { while open.join_next().await.is_some() {} };
    if timeout(limits.drain_timeout, all).await.is_err() {
        eprintln!(
            "{} connections were not finished in {} seconds and are cut",
            open.len(),
            limits.drain_timeout.as_secs()
        );
    }
    open.shutdown().await;
    Ok(())
}

/// The next connection, with its place among those that there may be; none if the program is to stop.
async fn next(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
    stop: &mut Stop,
) -> Option<io::Result<(TcpStream, OwnedSemaphorePermit)>> {
    let accept = async {
        let place = places.clone().acquire_owned().await.expect("is never closed");
        listener.accept().await.map(|(stream, _)| (stream, place))
    };
    let (mut accept, mut stopped) = (pin!(accept), pin!(stop.wait()));
    poll_fn(|cx| {
        if stopped.as_mut().poll(cx).is_ready() {
            return Poll::Ready(None);
        }
        accept.as_mut().poll(cx).map(Some)
    })
    .await
}

async fn connection(
    http: http1::Builder,
    stream: TcpStream,
    service: TowerToHyperService<Router>,
    mut stop: Stop,
    metrics: Arc<Metrics>,
    _place: OwnedSemaphorePermit,
) {
    /// Counts an open connection, however it ends.
    struct Counted(Arc<Metrics>);
    impl Drop for Counted {
        fn drop(&mut self) {
            self.0.connections.fetch_sub(1, Ordering::Relaxed);
        }
    }
    metrics.connections.fetch_add(1, Ordering::Relaxed);
    let _counted = Counted(metrics);
    // Without it small answers may wait for the client's acknowledgements; it works without it too.
    let _ = stream.set_nodelay(true);
    let stream = TokioIo::new(Timed::new(stream, WRITE_TIMEOUT));
    let (mut served, mut stopped) = (pin!(http.serve_connection(stream, service)), pin!(stop.wait()));
    let mut stopping = false;
    poll_fn(|cx| {
        if !stopping && stopped.as_mut().poll(cx).is_ready() {
            stopping = true;
            served.as_mut().graceful_shutdown();
        }
        // What clients do wrong is no news.
        served.as_mut().poll(cx).map(drop)
    })
    .await;
}
