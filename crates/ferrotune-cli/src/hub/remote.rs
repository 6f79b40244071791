//! The hub: a model's files through the hf-hub crate, checked and moved into the hub cache.
//!
//! It must not know about mirrors. hf-hub 0.4 sets no time limit on a request, compares no sums and writes straight
//! into its cache. So it works on a thread of its own, in a staging folder, and tells this thread about every piece
//! that arrives; when the hub stays silent too long, this thread goes on and leaves the other one behind.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};

use hf_hub::api::sync::{Api, ApiBuilder, ApiError, ApiRepo};
use hf_hub::{Repo, RepoType};

use super::cache::Staged;
use super::manifest::KnownModel;
use super::{HubError, HubSettings, cache, names, parts, sums};

/// What stands in an error's place for a file while the listing is read.
const LISTING: &str = "the file list";

/// Downloads a model into the hub cache and returns its snapshot folder.
pub fn fetch(
    settings: &HubSettings,
    id: &str,
    known: Option<&KnownModel>,
    progress: &mut dyn FnMut(&str),
) -> Result<PathBuf, HubError> {
    let repository = cache::repository(settings, id);
    let staging = cache::staging(&repository)?;
    let result = download(settings, id, known, staging.path(), progress).and_then(|download| {
        let files = check(settings, id, known, download.files)?;
        cache::publish_snapshot(&repository, &download.revision, &files, staging.path())
    });
    drop(staging);
    if result.is_err() {
        // Succeeds only if the folder is empty, that is, if it was made for this download.
        let _ = std::fs::remove_dir(&repository);
    }
    result
}

/// What the thread tells.
enum Event {
    /// A file of this many bytes begins.
    Opened { file: String, size: u64 },
    /// Something came.
    Alive,
    /// The last event.
    Done(Result<Download, HubError>),
}

/// A finished download: the commit it is of, and the files as hf-hub staged them.
struct Download {
    revision: String,
    files: Vec<Fetched>,
}

struct Fetched {
    name: String,
    /// hf-hub's link to the file.
    path: PathBuf,
    /// The length that the hub announced.
    size: u64,
}

/// Runs the thread and listens to it.
fn download(
    settings: &HubSettings,
    id: &str,
    known: Option<&KnownModel>,
    staging: &Path,
    progress: &mut dyn FnMut(&str),
) -> Result<Download, HubError> {
    progress(&format!("asking {} for {id}", settings.endpoint));
    let builder = ApiBuilder::from_cache(hf_hub::Cache::new(staging.to_owned()))
        .with_endpoint(settings.endpoint.clone())
        .with_token(settings.token.clone())
        .with_progress(false);
    let unreachable = |reason| HubError::Unreachable { endpoint: settings.endpoint.clone(), reason };
    let (events, receiver) = channel();
    let session = Session {
        endpoint: settings.endpoint.clone(),
        id: id.to_owned(),
        token_sent: settings.token.is_some(),
        known: known.map(|known| known.files.iter().map(|file| file.name.clone()).collect()),
        api: builder.build().map_err(|error| unreachable(one_line(&error.to_string())))?,
        events,
    };
    let thread = std::thread::Builder::new().name("hub".to_owned());
    thread.spawn(move || session.tell(Event::Done(session.run()))).map_err(HubError::disk(staging))?;

    let mut current: Option<String> = None;
    loop {
        let limit = if current.is_none() { settings.answer_limit } else { settings.stall_limit };
        let seconds = limit.as_secs_f32();
        let broken = |file: &Option<String>, reason: String| HubError::BadAnswer {
            endpoint: settings.endpoint.clone(),
            id: id.to_owned(),
            file: file.clone().unwrap_or_else(|| LISTING.to_owned()),
            reason,
        };
        match receiver.recv_timeout(limit) {
            Ok(Event::Opened { file, size }) => {
                progress(&format!("downloading {file}, {size} bytes"));
                current = Some(file);
            }
            Ok(Event::Alive) => {
                current.get_or_insert_with(|| LISTING.to_owned());
            }
            Ok(Event::Done(result)) => return result,
            Err(RecvTimeoutError::Timeout) if current.is_none() => {
                return Err(unreachable(format!("no answer within {seconds} s")));
            }
            Err(RecvTimeoutError::Timeout) => {
                return Err(broken(&current, format!("nothing came for {seconds} s")));
            }
            // The thread panicked: hf-hub asserts on some answers that are not the hub's.
            Err(RecvTimeoutError::Disconnected) => {
                return Err(broken(&current, "the answer is not a hub's".to_owned()));
            }
        }
    }
}

/// What the thread needs; it owns everything, because the thread may outlive the call.
struct Session {
    endpoint: String,
    id: String,
    token_sent: bool,
    /// The manifest's files, or none if the manifest does not know the model.
    known: Option<Vec<String>>,
    api: Api,
    events: Sender<Event>,
}

impl Session {
    fn run(&self) -> Result<Download, HubError> {
        let main = self.api.repo(Repo::new(self.id.clone(), RepoType::Model));
        let info = main.info().map_err(|error| self.failed(LISTING, error, true))?;
        if !names::is_hex(&info.sha, 40) {
            return Err(self.broken(LISTING, "the revision is no commit".to_owned()));
        }
        self.tell(Event::Alive);
        let listed: Vec<String> = info.siblings.into_iter().map(|sibling| sibling.rfilename).collect();
        let wanted = self.wanted(&listed)?;
        // From here on everything is of one commit, whatever is pushed to `main` meanwhile.
        let commit = self.api.repo(Repo::with_revision(self.id.clone(), RepoType::Model, info.sha.clone()));
        let mut files = Vec::new();
        for name in wanted {
            let path = self.fetch(&commit, &name, &mut files)?;
            if parts::is_index(&name) {
                for shard in parts::shards(&path).map_err(|reason| self.broken(&name, reason))? {
                    self.fetch(&commit, &shard, &mut files)?;
                }
            }
        }
        Ok(Download { revision: info.sha, files })
    }

    fn wanted(&self, listed: &[String]) -> Result<Vec<String>, HubError> {
        let missing = |file: &str| HubError::MissingFile { id: self.id.clone(), file: file.to_owned() };
        match &self.known {
            None => parts::wanted(listed).map_err(missing),
            Some(known) => match known.iter().find(|name| !listed.contains(name)) {
                Some(absent) => Err(missing(absent)),
                None => Ok(known.clone()),
            },
        }
    }

    fn fetch(&self, commit: &ApiRepo, name: &str, files: &mut Vec<Fetched>) -> Result<PathBuf, HubError> {
        let size = Rc::new(Cell::new(0));
        let watcher = Watcher { events: self.events.clone(), file: name.to_owned(), size: Rc::clone(&size) };
        let path = commit.download_with_progress(name, watcher).map_err(|error| self.failed(name, error, false))?;
        files.push(Fetched { name: name.to_owned(), path: path.clone(), size: size.get() });
        Ok(path)
    }

    /// Translates hf-hub's error; `first` says whether the hub has not answered anything yet.
    fn failed(&self, file: &str, error: ApiError, first: bool) -> HubError {
        let (endpoint, id) = (self.endpoint.clone(), self.id.clone());
        let ApiError::RequestError(error) = error else {
            return self.broken(file, one_line(&error.to_string()));
        };
        match *error {
            ureq::Error::Status(status @ (401 | 403), _) => {
                HubError::Unauthorised { endpoint, id, status, token_sent: self.token_sent }
            }
            ureq::Error::Status(404, _) if first => HubError::NotFound { endpoint, id },
            ureq::Error::Status(status, _) => self.broken(file, format!("status {status}")),
            ureq::Error::Transport(transport) => {
                let mut reason = transport.kind().to_string();
                if let Some(message) = transport.message() {
                    reason = format!("{reason}: {message}");
                }
                if let Some(source) = std::error::Error::source(&transport) {
                    reason = format!("{reason}: {source}");
                }
                let reason = one_line(&reason);
                if first { HubError::Unreachable { endpoint, reason } } else { self.broken(file, reason) }
            }
        }
    }

    fn broken(&self, file: &str, reason: String) -> HubError {
        HubError::BadAnswer { endpoint: self.endpoint.clone(), id: self.id.clone(), file: file.to_owned(), reason }
    }

    fn tell(&self, event: Event) {
        // Nobody listens any more if this thread was given up.
        let _ = self.events.send(event);
    }
}

/// Passes hf-hub's progress on as signs of life, and keeps the length that the hub announced.
struct Watcher {
    events: Sender<Event>,
    file: String,
    size: Rc<Cell<u64>>,
}

impl hf_hub::api::Progress for Watcher {
    fn init(&mut self, size: usize, _file: &str) {
        // hf-hub calls this twice a file: before the request and when the answer is there.
        if self.size.replace(size as u64) != size as u64 {
            let _ = self.events.send(Event::Opened { file: self.file.clone(), size: size as u64 });
        }
    }

    fn update(&mut self, _bytes: usize) {
        let _ = self.events.send(Event::Alive);
    }

    fn finish(&mut self) {}
}

/// Compares what came with the manifest, or with what the hub said about it: the length, and for a large file the
/// sum, which is its tag.
fn check(
    settings: &HubSettings,
    id: &str,
    known: Option<&KnownModel>,
    files: Vec<Fetched>,
) -> Result<Vec<Staged>, HubError> {
    let mut staged = Vec::with_capacity(files.len());
    for Fetched { name, path, size } in files {
        let origin = format!("{} ({id})", settings.endpoint);
        let tag = std::fs::read_link(&path).ok().and_then(|blob| Some(blob.file_name()?.to_str()?.to_owned()));
        let tag = tag.filter(|tag| names::is_plain_file_name(tag));
        let (sum, length) = sums::sha256_of(&path)?;
        if let Some(file) = known.and_then(|known| known.file(&name)) {
            sums::check_known(&path, file, &origin)?;
        } else if length != size {
            return Err(HubError::SizeMismatch { file: name, origin, expected: size, actual: length });
        }
        if let Some(expected) = tag.clone().filter(|tag| names::is_hex(tag, 64) && *tag != sum) {
            return Err(HubError::SumMismatch { file: name, origin, expected, actual: sum });
        }
        staged.push(Staged { name, path, blob: tag.unwrap_or(sum) });
    }
    Ok(staged)
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
