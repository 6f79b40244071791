//! A stream whose other end must take what is written within a time: hyper itself waits for ever. It must not know HTTP.

use std::future::Future;
use std::io::{Error, ErrorKind, IoSlice, Result};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// The stream.
pub struct Timed<S> {
    stream: S,
    limit: Duration,
    /// Runs since something was not taken at once, until all is: who takes a byte now and then does not begin it anew.
    waiting: Option<Pin<Box<Sleep>>>,
}

impl<S> Timed<S> {
    /// A stream on which what is written must be taken within so long.
    pub fn new(stream: S, limit: Duration) -> Timed<S> {
        Timed { stream, limit, waiting: None }
    }

    fn unless_late<T>(&mut self, cx: &mut Context<'_>, written: Poll<Result<T>>) -> Poll<Result<T>> {
        if written.is_ready() {
            return written;
        }
        let limit = self.limit;
        let waiting = self.waiting.get_or_insert_with(|| Box::pin(sleep(limit)));
        waiting.as_mut().poll(cx).map(|()| Err(Error::new(ErrorKind::TimedOut, "the client does not read")))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Timed<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Timed<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.unless_late(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, parts);
        self.unless_late(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        // Who writes flushes when nothing is left to write.
        if flushed.is_ready() {
            self.waiting = None;
        }
        self.unless_late(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let ended = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.unless_late(cx, ended)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use std::io::Read;
    use std::time::Instant;

    /// Writes without an end to a client; whether it is given up.
    fn check(limit: Duration, client: fn(&mut std::net::TcpStream)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let mut stream = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let reads = std::thread::spawn(move || {
                client(&mut stream);
                stream
            });
            let (stream, _) = listener.accept().await.unwrap();
            let mut timed = Timed::new(stream, limit);
            let begin = Instant::now();
            let error = loop {
                // Buffers of the system fill first.
                match poll_fn(|cx| Pin::new(&mut timed).poll_write(cx, &[0; 1 << 16])).await {
                    Ok(_) => assert!(begin.elapsed() < Duration::from_secs(10)),
                    Err(error) => break error,
                }
            };
            assert_eq!(error.kind(), ErrorKind::TimedOut);
            drop(timed);
            drop(reads.join().unwrap());
        });
    }

    #[test]
    fn who_reads_nothing_is_given_up() {
        check(Duration::from_millis(50), |_| {});
    }

    #[test]
    fn who_reads_a_little_now_and_then_is_given_up_too() {
        check(Duration::from_millis(500), |stream| {
            let mut some = vec![0; 1 << 16];
            while matches!(stream.read(&mut some), Ok(1..)) {
                std::thread::sleep(Duration::from_millis(10));
            }
        });
    }
}
