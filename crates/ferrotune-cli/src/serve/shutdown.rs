//! The wish to stop: a signal sets it, and who serves looks at it. It must not know what is finished before.

use crate::exit::{Failure, io};
use tokio::sync::watch;

/// Whether the program is to stop.
#[derive(Clone)]
pub struct Stop(watch::Receiver<bool>);

impl Stop {
    /// A wish that the first Ctrl-C or termination signal sets; the second ends the program at once.
    ///
    /// # Errors
    /// The system gives no signals.
    pub fn on_signal() -> Result<Stop, Failure> {
        let (sender, receiver) = watch::channel(false);
        ctrlc::set_handler(move || {
            if sender.send_replace(true) {
                std::process::exit(130);
            }
            eprintln!("stopping when what is in flight is answered (again to stop at once)");
        })
        .map_err(|error| io("cannot wait for signals")(std::io::Error::other(error)))?;
        Ok(Stop(receiver))
    }

    /// Whether it is set.
    pub fn is_set(&self) -> bool {
        *self.0.borrow()
    }

    /// Ends when it is set.
    pub async fn wait(&mut self) {
        // Without a sender there is no signal that could come.
        if self.0.wait_for(|&stop| stop).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
