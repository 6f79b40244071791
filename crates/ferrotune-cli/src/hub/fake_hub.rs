//! A small HTTP server on this machine that plays the hub for the tests of this folder.
//!
//! It knows the three requests that hf-hub makes: the listing of a repository, the first byte of a file, and the rest
//! of it. It must not be used outside tests.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// The commit that the fake hub's models are at.
pub const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// How the server misbehaves.
#[derive(Clone, Copy, PartialEq)]
pub enum Mood {
    /// Not at all.
    Well,
    /// Every request gets this status and no content.
    Status(u16),
    /// 401 unless the request carries this bearer token.
    Private(&'static str),
    /// Files break off in the middle.
    Truncated,
    /// Connections are taken and never answered.
    Silent,
    /// The listing is not JSON.
    Gibberish,
    /// Files are answered without the hub's headers.
    NoHeaders,
}

/// A file on the fake hub.
#[derive(Clone)]
pub struct Served {
    /// Its name.
    pub name: String,
    /// Its bytes.
    pub content: Vec<u8>,
    /// Its tag.
    pub etag: String,
}

/// A running server. Dropping it stops it.
pub struct FakeHub {
    /// Its address, as `HF_ENDPOINT` has it.
    pub endpoint: String,
    requests: Arc<Mutex<Vec<String>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl FakeHub {
    /// Starts a server with one model.
    pub fn start(id: &str, files: Vec<Served>, mood: Mood) -> FakeHub {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let endpoint = format!("http://{}", listener.local_addr().expect("its address"));
        let requests = Arc::new(Mutex::new(Vec::new()));
        let stop = Arc::new(AtomicBool::new(false));
        let site = Arc::new(Site { id: id.to_owned(), files, mood, requests: Arc::clone(&requests) });
        let stopping = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut silenced = Vec::new();
            for stream in listener.incoming().flatten() {
                if stopping.load(Ordering::SeqCst) {
                    break;
                }
                if site.mood == Mood::Silent {
                    silenced.push(stream);
                    continue;
                }
                let site = Arc::clone(&site);
                // A client that gives up closes its end: nothing to do about it here.
                std::thread::spawn(move || drop(site.answer(stream)));
            }
        });
        FakeHub { endpoint, requests, stop, thread: Some(thread) }
    }

    /// The request lines so far, each with the `Authorization` header behind it if there was one.
    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().expect("no test panics while it holds the lock").clone()
    }
}

impl Drop for FakeHub {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        // Wakes the thread up; it may be gone already.
        let _ = TcpStream::connect(self.endpoint.trim_start_matches("http://"));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Site {
    id: String,
    files: Vec<Served>,
    mood: Mood,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Site {
    /// One request per connection.
    fn answer(&self, mut stream: TcpStream) -> std::io::Result<()> {
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        let mut reader = BufReader::new(stream.try_clone()?);
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
        let (mut authorization, mut range) = (None, None);
        loop {
            let mut header = String::new();
            if reader.read_line(&mut header)? == 0 || header.trim().is_empty() {
                break;
            }
            let (name, value) = header.split_once(':').unwrap_or((&header, ""));
            match name.to_ascii_lowercase().as_str() {
                "authorization" => authorization = Some(value.trim().to_owned()),
                "range" => range = Some(value.trim().to_owned()),
                _ => (),
            }
        }
        let shown = authorization.clone().map_or(String::new(), |value| format!(" [{value}]"));
        self.requests.lock().expect("see requests()").push(format!("{}{shown}", line.trim()));
        let (head, body) = self.respond(&path, authorization.as_deref(), range.as_deref());
        stream.write_all(format!("HTTP/1.1 {head}Connection: close\r\n\r\n").as_bytes())?;
        stream.write_all(&body)
    }

    /// Status and headers, and the body.
    fn respond(&self, path: &str, authorization: Option<&str>, range: Option<&str>) -> (String, Vec<u8>) {
        let empty = |status: u16| (format!("{status} X\r\nContent-Length: 0\r\n"), Vec::new());
        match self.mood {
            Mood::Status(status) => return empty(status),
            Mood::Private(token) if authorization != Some(&format!("Bearer {token}")) => return empty(401),
            _ => (),
        }
        if path == format!("/api/models/{}/revision/main", self.id) {
            let siblings: Vec<_> = self.files.iter().map(|file| serde_json::json!({"rfilename": file.name})).collect();
            let mut body = serde_json::json!({"sha": COMMIT, "siblings": siblings}).to_string();
            if self.mood == Mood::Gibberish {
                body = "<html>".to_owned();
            }
            let head = format!("200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n", body.len());
            return (head, body.into_bytes());
        }
        let prefix = format!("/{}/resolve/{COMMIT}/", self.id);
        let Some(file) = self.files.iter().find(|file| path.strip_prefix(&prefix) == Some(&file.name)) else {
            return empty(404);
        };
        let size = file.content.len();
        // "bytes=0-0" asks for the headers, "bytes=N-" for the rest.
        let (first, last) = range.and_then(|range| range.strip_prefix("bytes=")?.split_once('-')).unwrap_or(("0", ""));
        let first: usize = first.parse().unwrap_or(0);
        let end = last.parse().map_or(size, |last: usize| (last + 1).min(size));
        let mut body = file.content[first.min(end)..end].to_vec();
        let mut head = format!("206 Partial Content\r\nContent-Length: {}\r\n", body.len());
        if self.mood != Mood::NoHeaders {
            head += &format!("Content-Range: bytes {first}-{}/{size}\r\n", end.saturating_sub(1));
            head += &format!("ETag: \"{}\"\r\nX-Repo-Commit: {COMMIT}\r\n", file.etag);
        }
        if self.mood == Mood::Truncated && last.is_empty() {
            body.truncate(body.len() / 2);
        }
        (head, body)
    }
}
