//! A server over HTTP/1.1 for one model. `http.rs` and what is below it know connections, bodies and JSON, and no model; `worker.rs` computes on the
//! thread of the command and knows no HTTP; between them is `queue.rs`, with a channel back for each request.

pub mod auth;
mod body;
mod connections;
mod health;
mod http;
mod metrics;
pub mod model;
mod problem;
mod queue;
mod request;
mod shutdown;
mod slow_readers;
mod worker;

use crate::device::Machine;
use crate::exit::{Failure, IO, io};
use auth::Key;
use connections::Routers;
use health::Health;
use metrics::Metrics;
use model::Served;
use queue::Queue;
use shutdown::Stop;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

/// How long the last pass may take when there is no connection any more.
const LAST_PASS: Duration = Duration::from_secs(1);

/// What requests may cost.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Rows of a request.
    pub max_rows: usize,
    /// Bytes of a body.
    pub max_body: usize,
    /// Tokens that go through the model together, and of a row.
    pub max_batch_tokens: usize,
    /// Requests that wait.
    pub max_waiting: usize,
    /// How long a request may wait for its answer.
    pub timeout: Duration,
    /// How long a body may take to come.
    pub read_timeout: Duration,
    /// How long what is in flight may take at the end.
    pub drain_timeout: Duration,
}

/// Serves a model until a signal says stop. Connections have a thread of their own; this one computes.
///
/// # Errors
/// The system gives no thread, no signals or no socket.
pub fn serve<B: Machine>(
    mut model: Served<'_, B>,
    listener: TcpListener,
    limits: Limits,
    key: Option<Key>,
) -> Result<(), Failure> {
    let failed = || io("cannot serve");
    let address = listener.local_addr().map_err(failed())?;
    if key.is_none() && !address.ip().is_loopback() {
        eprintln!(
            "warning: whoever reaches {address} may ask the model: say --api-key-file, or let a proxy in front check who asks"
        );
    }
    let stop = Stop::on_signal()?;
    silence_panics();
    // Who has waited for half of the time is to be answered in the other half.
    let queue = Arc::new(Queue::new(limits.max_waiting, limits.timeout / 2));
    let metrics = Arc::new(Metrics::default());
    let health = Arc::new(Health::default());
    let shared = http::Shared {
        queue: queue.clone(),
        metrics: metrics.clone(),
        health: health.clone(),
        stop: stop.clone(),
        limits,
        kind: model.kind(),
        info: model.info(),
        key,
        room: body::Room::new(limits.max_body),
    };
    // Threads beside it read large bodies as JSON: two at a time, as that takes several times the memory of a body.
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().max_blocking_threads(2).build().map_err(failed())?;
    listener.set_nonblocking(true).map_err(failed())?;
    let listener = {
        let _inside = runtime.enter();
        tokio::net::TcpListener::from_std(listener).map_err(failed())?
    };
    let (closing, counts, stopping) = (CloseAtEnd(queue.clone()), metrics.clone(), stop.clone());
    let (works, has_worked) = channel::<()>();
    let connections = move || {
        let shared = Arc::new(shared);
        let routers = Routers { all: http::router(shared.clone()), health: http::health_alone(shared) };
        runtime.block_on(connections::serve(listener, routers, stop, &limits, &counts));
        // A body that is being read as JSON has nobody to tell.
        runtime.shutdown_background();
        drop(closing);
        if has_worked.recv_timeout(LAST_PASS) == Err(RecvTimeoutError::Timeout) {
            // What is computed now is for nobody either, and may take longer than whoever stops us waits.
            std::process::exit(0);
        }
    };
    let thread = std::thread::Builder::new().name("connections".to_string()).spawn(connections).map_err(failed())?;
    println!("listening on http://{address}");
    let worked = worker::work(&mut model, &queue, &metrics, &health, limits.max_batch_tokens);
    drop(works);
    if worked.is_err() {
        // Those that wait are told that it stops; whoever supervises it starts another one.
        stopping.set();
        queue.close();
        while queue.take().is_some() {}
    }
    let joined = thread.join();
    worked.map_err(|why| {
        let message = format!(
            "the model does not answer any more: {why}; start it again, and look at the device if that does not help"
        );
        Failure { message, code: IO }
    })?;
    joined.map_err(|_| Failure { message: "the thread of the connections panicked".to_string(), code: IO })
}

/// However connections end, the worker must end after them.
struct CloseAtEnd(Arc<Queue>);

impl Drop for CloseAtEnd {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// What a panic says may hold a text that somebody sent: only its place is said. What a device says holds none.
fn silence_panics() {
    std::panic::set_hook(Box::new(|panic| {
        #[cfg(feature = "cuda")]
        if let Some(error) = panic.payload().downcast_ref::<ferrotune_cuda::device::DeviceError>() {
            eprintln!("error: the device: {error}");
            return;
        }
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        eprintln!("error: a panic at {place}");
    }));
}
