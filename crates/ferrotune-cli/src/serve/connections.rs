//! Connections: accepted up to a number, served one request after the other, and finished when the program is to stop. Some places more are for those
//! who ask about health alone, which must be told while all others wait. It must not know what requests ask for. The loop is our own because that of axum sets no time for headers.

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

/// Connections at a time, and how many more there may be that are told the health alone. Others wait in the system's own queue.
const PLACES: Places = Places { all: 1024, health: 16 };
/// Bytes of a header; one that comes in few large reads may have somewhat more.
const HEADER: usize = 64 << 10;
/// A header must come within so long, where bodies have longer. A connection without a request is closed after it too.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// On a place that is for health.
const SHORT_TIMEOUT: Duration = Duration::from_secs(2);
/// An answer must be taken within so long.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// How long no connection is accepted after the system refused one.
const PAUSE: Duration = Duration::from_millis(100);
/// How often that is said.
const SAID: Duration = Duration::from_secs(60);

/// How many there may be at a time.
#[derive(Clone, Copy)]
struct Places {
    all: usize,
    health: usize,
}

/// What answers.
pub struct Routers {
    /// On a connection that has a place.
    pub all: Router,
    /// On one that has none.
    pub health: Router,
}

/// Serves until the program is to stop, and what is in flight then.
pub async fn serve(listener: TcpListener, routers: Routers, stop: Stop, limits: &Limits, metrics: &Arc<Metrics>) {
    serve_at(PLACES, listener, routers, stop, limits, metrics).await;
}

async fn serve_at(
    most: Places,
    listener: TcpListener,
    routers: Routers,
    mut stop: Stop,
    limits: &Limits,
    metrics: &Arc<Metrics>,
) {
    let http = |timeout: Duration| {
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new()).header_read_timeout(limits.read_timeout.min(timeout)).max_buf_size(HEADER);
        http
    };
    let (http, mut once) = (http(HEADER_TIMEOUT), http(SHORT_TIMEOUT));
    once.keep_alive(false);
    let (any, places) = (Arc::new(Semaphore::new(most.all + most.health)), Arc::new(Semaphore::new(most.all)));
    let (mut open, mut said) = (JoinSet::new(), None::<Instant>);
    while let Some(accepted) = next(&listener, &any, &mut stop).await {
        while open.try_join_next().is_some() {}
        match accepted {
            Ok((stream, any)) => {
                let place = places.clone().try_acquire_owned().ok();
                let (http, router) = if place.is_some() { (&http, &routers.all) } else { (&once, &routers.health) };
                let service = TowerToHyperService::new(router.clone());
                let places = (any, place);
                open.spawn(connection(http.clone(), stream, service, stop.clone(), metrics.clone(), places));
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
    _places: (OwnedSemaphorePermit, Option<OwnedSemaphorePermit>),
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

#[cfg(test)]
mod tests {
    use super::*;
    use axum::routing::get;
    use std::io::{Read, Write};

    /// Ends the server however the test ends.
    struct StopAtEnd(Stop);

    impl Drop for StopAtEnd {
        fn drop(&mut self) {
            self.0.set();
        }
    }

    /// With both places taken health is still told, and anything else waits for nobody; a place that is given back serves all again.
    #[test]
    fn health_is_told_when_all_places_are_taken() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        listener.set_nonblocking(true).unwrap();
        let (stop, seconds) = (Stop::new(), Duration::from_secs(30));
        let limits = Limits {
            max_rows: 1,
            max_body: 1,
            max_batch_tokens: 1,
            max_waiting: 1,
            timeout: seconds,
            read_timeout: seconds,
            drain_timeout: seconds,
        };
        let router = |says: &'static str| Router::new().route("/", get(move || async move { says }));
        let routers = Routers { all: router("all"), health: router("health") };
        let ask = |mut stream: &std::net::TcpStream| {
            stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
            stream.set_read_timeout(Some(seconds)).unwrap();
            let (mut said, mut part) = (String::new(), [0; 1000]);
            while !said.ends_with("all") && !said.ends_with("health") {
                let read = stream.read(&mut part).unwrap();
                assert!(read > 0, "{said}");
                said.push_str(std::str::from_utf8(&part[..read]).unwrap());
            }
            said
        };
        std::thread::scope(|scope| {
            let stopped = stop.clone();
            scope.spawn(|| {
                runtime.block_on(async {
                    let listener = TcpListener::from_std(listener).unwrap();
                    let most = Places { all: 2, health: 1 };
                    serve_at(most, listener, routers, stopped, &limits, &Arc::default()).await
                })
            });
            let _stops = StopAtEnd(stop);
            let connect = || std::net::TcpStream::connect(address).unwrap();
            let (first, second) = (connect(), connect());
            assert!(ask(&first).ends_with("all") && ask(&second).ends_with("all"));
            for _ in 0..3 {
                let said = ask(&connect());
                assert!(said.contains("connection: close") && said.ends_with("health"), "{said}");
            }
            drop(second);
            let begin = Instant::now();
            while !ask(&connect()).ends_with("all") {
                assert!(begin.elapsed() < seconds);
            }
            assert!(ask(&first).ends_with("all"));
        });
    }
}
