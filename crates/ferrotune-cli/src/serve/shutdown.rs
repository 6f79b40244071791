//! The wish to stop: a signal sets it, or who cannot go on, and who serves looks at it. It must not know what is finished before.

use crate::exit::{Failure, io};
use std::sync::Arc;
use tokio::sync::watch;

/// Whether the program is to stop.
#[derive(Clone)]
pub struct Stop {
    sender: Arc<watch::Sender<bool>>,
    receiver: watch::Receiver<bool>,
}

impl Stop {
    /// A wish that the first Ctrl-C or termination signal sets; the second ends the program at once.
    ///
    /// # Errors
    /// The system gives no signals.
    pub fn on_signal() -> Result<Stop, Failure> {
        let stop = Stop::new();
        let sender = stop.sender.clone();
        ctrlc::set_handler(move || {
            if sender.send_replace(true) {
                std::process::exit(130);
            }
            eprintln!("stopping when what is in flight is answered (again to stop at once)");
        })
        .map_err(|error| io("cannot wait for signals")(std::io::Error::other(error)))?;
        Ok(stop)
    }

    /// A wish that nothing sets by itself.
    pub fn new() -> Stop {
        let (sender, receiver) = watch::channel(false);
        Stop { sender: Arc::new(sender), receiver }
    }

    /// Sets it.
    pub fn set(&self) {
        self.sender.send_replace(true);
    }

    /// Whether it is set.
    pub fn is_set(&self) -> bool {
        *self.receiver.borrow()
    }

    /// Ends when it is set.
    pub async fn wait(&mut self) {
        // It holds a sender itself, so that there is one to wait for.
        let _ = self.receiver.wait_for(|&stop| stop).await;
    }
}
