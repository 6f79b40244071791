//! Tests of resolving a model: against a local server that plays the hub, and a script that plays pip.
//!
//! Nothing here leaves this machine.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::fake_hub::{COMMIT, FakeHub, Mood, Served};
use super::{HubError, HubSettings, Manifest, Resolved, Source, parts, resolve, sums};

const ID: &str = "org/tiny";
const FILES: [(&str, &str); 4] = [
    ("config.json", "{}"),
    ("model.safetensors", "weights, nearly"),
    ("tokenizer.json", "[1]"),
    ("vocab.txt", "a\nb\n"),
];

/// A folder that is removed at the end, and settings that stay inside it.
struct Bench {
    root: tempfile::TempDir,
    settings: HubSettings,
}

impl Bench {
    fn new(endpoint: &str) -> Bench {
        let root = tempfile::tempdir().unwrap();
        let settings = HubSettings {
            cache: root.path().join("hub"),
            assets: root.path().join("assets"),
            endpoint: endpoint.to_owned(),
            token: None,
            offline: false,
            python: root.path().join("no-python"),
            answer_limit: Duration::from_secs(20),
            stall_limit: Duration::from_secs(20),
            pip_limit: Duration::from_secs(20),
        };
        Bench { root, settings }
    }

    fn resolve(&self, manifest: &Manifest) -> Result<Resolved, HubError> {
        resolve(ID, &self.settings, manifest, &mut |_| ())
    }

    /// All files below the two caches, links included.
    fn cached_files(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut folders = vec![self.settings.cache.clone(), self.settings.assets.clone()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
                match entry.file_type().unwrap().is_dir() {
                    true => folders.push(entry.path()),
                    false => found.push(entry.path()),
                }
            }
        }
        found
    }

    #[cfg(unix)]
    /// A script in the place of Python: it gets pip's arguments.
    ///
    /// `install` writes it, not this process: while a file is open for writing it cannot be executed, and a thread
    /// beside this one may start a process just then, which inherits the open file for a moment.
    fn python(&mut self, script: &str) {
        let text = self.root.path().join("script");
        let path = self.root.path().join("python");
        fs::write(&text, format!("#!/bin/sh\n{script}\n")).unwrap();
        let status = std::process::Command::new("install").args(["-m", "755"]).arg(text).arg(&path).status();
        assert!(status.unwrap().success());
        self.settings.python = path;
    }
}

fn sum_of(content: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x");
    fs::write(&path, content).unwrap();
    sums::sha256_of(&path).unwrap().0
}

fn served(files: &[(&str, &str)]) -> Vec<Served> {
    let file = |(name, content): &(&str, &str)| Served {
        name: name.to_string(),
        content: content.as_bytes().to_vec(),
        etag: format!("tag-of-{name}"),
    };
    files.iter().map(file).collect()
}

/// A manifest that knows [`FILES`], with a mirror or without.
fn manifest(mirror: bool) -> Manifest {
    let mut text = format!("[[models]]\nid = \"{ID}\"\n");
    if mirror {
        text += "[models.mirror]\nkind = \"pypi\"\npackage = \"gt-tiny\"\nversion = \"0.1\"\npath = \"tiny/model\"\n";
    }
    for (name, content) in FILES {
        let sum = sum_of(content);
        text += &format!("[[models.files]]\nname = \"{name}\"\nsha256 = \"{sum}\"\nsize = {}\n", content.len());
    }
    Manifest::parse(&text).unwrap()
}

fn unknown() -> Manifest {
    Manifest::parse("models = []").unwrap()
}

#[track_caller]
fn check_folder(folder: &Path, files: &[(&str, &str)]) {
    for (name, content) in files {
        assert_eq!(fs::read_to_string(folder.join(name)).unwrap(), *content, "{name}");
    }
    assert_eq!(fs::read_dir(folder).unwrap().count(), files.len());
}

#[track_caller]
fn check_error(error: &HubError, exit_code: i32, texts: &[&str]) {
    let message = error.to_string();
    assert_eq!(error.exit_code(), exit_code, "{message}");
    assert!(!message.contains('\n'), "{message}");
    for text in texts {
        assert!(message.contains(text), "'{text}' is not in: {message}");
    }
}

/// An address where nobody listens.
fn dead_endpoint() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

#[test]
fn a_hub_model_lands_in_the_hub_cache_and_is_not_fetched_twice() {
    for manifest in [manifest(false), unknown()] {
        let hub = FakeHub::start(ID, served(&FILES), Mood::Well);
        let bench = Bench::new(&hub.endpoint);
        let first = bench.resolve(&manifest).unwrap();
        let repository = bench.settings.cache.join("models--org--tiny");
        assert_eq!(first, Resolved { folder: repository.join("snapshots").join(COMMIT), source: Source::Hub });
        check_folder(&first.folder, &FILES);
        assert_eq!(fs::read_to_string(repository.join("refs/main")).unwrap(), COMMIT);
        assert_eq!(fs::read_to_string(repository.join("blobs/tag-of-vocab.txt")).unwrap(), "a\nb\n");
        assert_eq!(fs::read_dir(&repository).unwrap().count(), 3, "blobs, refs, snapshots, and no staging folder");
        // The listing, then two requests a file.
        assert_eq!(hub.requests().len(), 9, "{:?}", hub.requests());
        let second = bench.resolve(&manifest).unwrap();
        assert_eq!(second, Resolved { folder: first.folder, source: Source::Cache });
        assert_eq!(hub.requests().len(), 9);
    }
}

#[test]
fn shards_are_fetched_after_their_index() {
    let index = r#"{"weight_map": {"a": "part-1.safetensors", "b": "part-2.safetensors", "c": "part-1.safetensors"}}"#;
    // The parts have the same bytes and so, on a real hub, the same tag.
    let files = [
        ("config.json", "{}"),
        ("tokenizer.json", "{}"),
        (parts::INDEX, index),
        ("part-1.safetensors", "same"),
        ("part-2.safetensors", "same"),
    ];
    let mut hosted = served(&files);
    hosted[3].etag = sum_of("same");
    hosted[4].etag = sum_of("same");
    let hub = FakeHub::start(ID, hosted, Mood::Well);
    let bench = Bench::new(&hub.endpoint);
    check_folder(&bench.resolve(&unknown()).unwrap().folder, &files);
}

#[test]
fn wrong_bytes_name_the_file_and_both_sums_and_leave_nothing() {
    let mut files = FILES;
    files[1].1 = "weights, altered";
    let hub = FakeHub::start(ID, served(&files), Mood::Well);
    let bench = Bench::new(&hub.endpoint);
    let error = bench.resolve(&manifest(false)).unwrap_err();
    check_error(&error, 4, &["model.safetensors", &sum_of("weights, nearly"), &sum_of("weights, altered")]);
    assert_eq!(bench.cached_files(), [] as [PathBuf; 0]);
}

#[test]
fn the_tag_of_a_large_file_is_its_sum() {
    for (tagged, fine) in [("weights, nearly", true), ("other weights", false)] {
        let mut hosted = served(&FILES);
        hosted[1].etag = sum_of(tagged);
        let hub = FakeHub::start(ID, hosted, Mood::Well);
        let bench = Bench::new(&hub.endpoint);
        match bench.resolve(&unknown()) {
            Ok(_) => assert!(fine),
            Err(error) => {
                assert!(!fine, "{error}");
                check_error(&error, 4, &["model.safetensors", &sum_of("other weights"), &sum_of("weights, nearly")]);
                assert_eq!(bench.cached_files(), [] as [PathBuf; 0]);
            }
        }
    }
}

#[test]
fn a_hub_that_fails_is_reported_and_leaves_nothing() {
    for (mood, exit_code, texts) in [
        (Mood::Status(404), 2, &["knows no model 'org/tiny'"][..]),
        (Mood::Status(403), 2, &["403", "set HF_TOKEN"]),
        (Mood::Status(500), 5, &["the file list", "status 500"]),
        (Mood::Private("secret"), 2, &["401", "set HF_TOKEN"]),
        (Mood::Truncated, 5, &["failed at config.json"]),
        (Mood::Gibberish, 5, &["the file list"]),
        (Mood::NoHeaders, 5, &["config.json", "etag"]),
    ] {
        for manifest in [manifest(false), unknown()] {
            let hub = FakeHub::start(ID, served(&FILES), mood);
            let bench = Bench::new(&hub.endpoint);
            check_error(&bench.resolve(&manifest).unwrap_err(), exit_code, texts);
            assert_eq!(bench.cached_files(), [] as [PathBuf; 0]);
        }
    }
}

#[test]
fn a_silent_hub_is_given_up() {
    let hub = FakeHub::start(ID, served(&FILES), Mood::Silent);
    let mut bench = Bench::new(&hub.endpoint);
    bench.settings.answer_limit = Duration::from_millis(200);
    let start = Instant::now();
    check_error(&bench.resolve(&unknown()).unwrap_err(), 5, &["no answer within 0.2 s", "no mirror"]);
    assert!(start.elapsed() < Duration::from_secs(10));
}

#[test]
fn a_dead_hub_is_reported() {
    let bench = Bench::new(&dead_endpoint());
    check_error(&bench.resolve(&manifest(false)).unwrap_err(), 5, &["cannot reach", "no mirror for 'org/tiny'"]);
}

#[test]
fn the_token_is_sent_and_not_shown() {
    let hub = FakeHub::start(ID, served(&FILES), Mood::Private("secret"));
    let mut bench = Bench::new(&hub.endpoint);
    bench.settings.token = Some("wrong".to_owned());
    let error = bench.resolve(&unknown()).unwrap_err();
    check_error(&error, 2, &["401", "may not read it"]);
    assert!(!error.to_string().contains("wrong"));
    bench.settings.token = Some("secret".to_owned());
    assert_eq!(bench.resolve(&unknown()).unwrap().source, Source::Hub);
    assert!(hub.requests().iter().skip(1).all(|request| request.ends_with("[Bearer secret]")), "{:?}", hub.requests());
}

#[test]
fn offline_makes_no_connection() {
    let hub = FakeHub::start(ID, served(&FILES), Mood::Well);
    let mut bench = Bench::new(&hub.endpoint);
    bench.settings.offline = true;
    check_error(&bench.resolve(&manifest(true)).unwrap_err(), 5, &["org/tiny", "HF_HUB_OFFLINE"]);
    assert!(hub.requests().is_empty());
}

#[test]
fn a_repository_without_weights_that_are_read_is_refused() {
    let hub = FakeHub::start(ID, served(&[("config.json", "{}"), ("tf_model.h5", "x")]), Mood::Well);
    let bench = Bench::new(&hub.endpoint);
    for manifest in [manifest(false), unknown()] {
        check_error(&bench.resolve(&manifest).unwrap_err(), 4, &["no model.safetensors", "convert"]);
    }
}

#[test]
fn weights_of_pytorch_are_fetched_where_there_are_no_others() {
    let files = [("config.json", "{}"), ("tokenizer.json", "{}"), ("pytorch_model.bin", "weights")];
    for (tagged, fine) in [("weights", true), ("other weights", false)] {
        let mut hosted = served(&files);
        hosted[2].etag = sum_of(tagged);
        let hub = FakeHub::start(ID, hosted, Mood::Well);
        let bench = Bench::new(&hub.endpoint);
        match bench.resolve(&unknown()) {
            Ok(found) => {
                assert!(fine);
                check_folder(&found.folder, &files);
                assert_eq!(bench.resolve(&unknown()).unwrap().source, Source::Cache);
            }
            Err(error) => {
                assert!(!fine, "{error}");
                check_error(&error, 4, &["pytorch_model.bin", &sum_of("other weights"), &sum_of("weights")]);
            }
        }
    }
    let index = r#"{"weight_map": {"a": "pytorch_model-1.bin", "b": "pytorch_model-2.bin"}}"#;
    let files = [
        ("config.json", "{}"),
        ("tokenizer.json", "{}"),
        ("pytorch_model.bin.index.json", index),
        ("pytorch_model-1.bin", "one"),
        ("pytorch_model-2.bin", "two"),
    ];
    let hub = FakeHub::start(ID, served(&files), Mood::Well);
    check_folder(&Bench::new(&hub.endpoint).resolve(&unknown()).unwrap().folder, &files);
}

#[test]
fn a_model_that_python_fetched_is_found_offline() {
    let mut bench = Bench::new(&dead_endpoint());
    bench.settings.offline = true;
    let repository = bench.settings.cache.join("models--org--tiny");
    let snapshot = repository.join("snapshots").join(COMMIT);
    fs::create_dir_all(&snapshot).unwrap();
    fs::create_dir_all(repository.join("refs")).unwrap();
    fs::write(repository.join("refs/main"), COMMIT).unwrap();
    for (name, content) in &FILES[..3] {
        assert!(bench.resolve(&unknown()).is_err(), "incomplete before {name}");
        fs::write(snapshot.join(name), content).unwrap();
    }
    let expected = Resolved { folder: snapshot.clone(), source: Source::Cache };
    assert_eq!(bench.resolve(&unknown()).unwrap(), expected);
    assert_eq!(bench.resolve(&manifest(false)).unwrap(), expected);
    // Another commit of a known model is told by its sums, so it needs no reference.
    fs::remove_file(repository.join("refs/main")).unwrap();
    assert_eq!(bench.resolve(&manifest(false)).unwrap(), expected);
    // One flipped byte: passed over, with a line that says so.
    fs::write(snapshot.join("model.safetensors"), "weights, nearlz").unwrap();
    let mut lines = Vec::new();
    let result = resolve(ID, &bench.settings, &manifest(false), &mut |line| lines.push(line.to_owned()));
    assert!(matches!(result, Err(HubError::Offline { .. })));
    assert!(lines.iter().any(|line| line.contains("passing over") && line.contains("model.safetensors")), "{lines:?}");
}

#[test]
fn folders_and_bad_arguments() {
    let bench = Bench::new(&dead_endpoint());
    let folder = bench.root.path().join("model");
    fs::create_dir(&folder).unwrap();
    let resolve_path = |path: &Path| resolve(path.to_str().unwrap(), &bench.settings, &unknown(), &mut |_| ());
    check_error(&resolve_path(&folder).unwrap_err(), 4, &["holds no config.json", "; it holds nothing"]);
    // A run folder: finished, then interrupted.
    let run = bench.root.path().join("run");
    fs::create_dir_all(run.join("checkpoints")).unwrap();
    fs::create_dir(run.join("best")).unwrap();
    fs::write(run.join("best/config.json"), "{}").unwrap();
    let best = format!("so it is no model folder; name {}", run.join("best").display());
    check_error(&resolve_path(&run).unwrap_err(), 4, &[&best]);
    fs::remove_dir_all(run.join("best")).unwrap();
    check_error(&resolve_path(&run).unwrap_err(), 4, &["; it holds checkpoints"]);
    let inside = format!("best does not exist ({} holds checkpoints): --model takes", run.display());
    check_error(&resolve_path(&run.join("best")).unwrap_err(), 2, &[&inside]);
    let config = folder.join("config.json");
    fs::write(&config, "{}").unwrap();
    assert_eq!(resolve_path(&folder).unwrap(), Resolved { folder: folder.clone(), source: Source::Folder });
    check_error(&resolve_path(&config).unwrap_err(), 2, &["is a file"]);
    check_error(&resolve_path(&folder.join("gone")).unwrap_err(), 2, &["does not exist"]);
    // Where a name begins with the folder of a run the hub is not asked, at which nobody listens; with any other folder it may be an organisation.
    let here = tempfile::Builder::new().prefix("run-").tempdir_in(".").unwrap();
    fs::write(here.path().join("metrics.jsonl"), "").unwrap();
    let name = here.path().file_name().unwrap().to_str().unwrap();
    let error =
        resolve(&format!("{name}/best"), &bench.settings, &unknown(), &mut |line| panic!("{line}")).unwrap_err();
    check_error(
        &error,
        2,
        &[&format!("{name}/best does not exist ({name} holds metrics.jsonl): --model takes a folder")],
    );
    assert_ne!(resolve("src/best", &bench.settings, &unknown(), &mut |_| ()).unwrap_err().exit_code(), 2);
    for bad in ["", "a b", "org/..", "org/a--b", "a/b/c", "../x"] {
        assert_eq!(resolve(bad, &bench.settings, &unknown(), &mut |_| ()).unwrap_err().exit_code(), 2, "{bad:?}");
    }
}

/// Tests of the mirror; the script that plays Python is one for a Unix shell.
#[cfg(unix)]
mod mirror {
    use std::io::Write;

    use super::*;

    /// Writes a wheel and returns a script that puts it where pip would.
    fn script(folder: &Path, files: &[(&str, &str)]) -> String {
        let wheel = folder.join("gt_tiny-0.1-py3-none-any.whl");
        let mut archive = zip::ZipWriter::new(fs::File::create(&wheel).unwrap());
        for (name, content) in files {
            archive.start_file(format!("tiny/model/{name}"), zip::write::SimpleFileOptions::default()).unwrap();
            archive.write_all(content.as_bytes()).unwrap();
        }
        archive.finish().unwrap();
        format!(
            "echo run >> '{0}/runs'\nwhile [ \"$1\" != --dest ]; do shift; done\n\
             [ \"$3\" = gt-tiny==0.1 ] || exit 9\ncp '{1}' \"$2\"",
            folder.display(),
            wheel.display()
        )
    }

    #[test]
    fn a_dead_hub_leads_to_the_mirror_once() {
        let mut bench = Bench::new(&dead_endpoint());
        let python = script(bench.root.path(), &FILES);
        bench.python(&python);
        let mut lines = Vec::new();
        let first = resolve(ID, &bench.settings, &manifest(true), &mut |line| lines.push(line.to_owned())).unwrap();
        let parent = bench.settings.assets.join("ferrotune/models/org--tiny");
        assert_eq!(first, Resolved { folder: parent.join("gt-tiny-0.1"), source: Source::Mirror });
        check_folder(&first.folder, &FILES);
        assert_eq!(fs::read_dir(&parent).unwrap().count(), 1, "no staging folder");
        assert!(!bench.settings.cache.join("models--org--tiny").exists(), "nothing in Python's cache");
        let told = lines.iter().any(|line| line.contains("cannot reach") && line.contains("mirror, package gt-tiny"));
        assert!(told, "{lines:?}");
        assert_eq!(bench.resolve(&manifest(true)).unwrap(), Resolved { source: Source::Cache, ..first.clone() });
        bench.settings.offline = true;
        assert_eq!(bench.resolve(&manifest(true)).unwrap().source, Source::Cache);
        assert_eq!(fs::read_to_string(bench.root.path().join("runs")).unwrap().lines().count(), 1);
        // A broken copy is replaced.
        bench.settings.offline = false;
        fs::write(first.folder.join("vocab.txt"), "b\na\n").unwrap();
        assert_eq!(bench.resolve(&manifest(true)).unwrap().source, Source::Mirror);
        check_folder(&first.folder, &FILES);
    }

    #[test]
    fn wrong_bytes_of_the_hub_lead_to_the_mirror_and_wrong_bytes_there_to_an_error() {
        let mut altered = FILES;
        altered[3].1 = "b\na\n";
        let hub = FakeHub::start(ID, served(&altered), Mood::Well);
        let mut bench = Bench::new(&hub.endpoint);
        let python = script(bench.root.path(), &altered);
        bench.python(&python);
        let error = bench.resolve(&manifest(true)).unwrap_err();
        check_error(&error, 4, &["vocab.txt", "gt-tiny 0.1", &sum_of("a\nb\n"), &sum_of("b\na\n")]);
        assert_eq!(bench.cached_files(), [] as [PathBuf; 0]);
        let python = script(bench.root.path(), &FILES);
        bench.python(&python);
        assert_eq!(bench.resolve(&manifest(true)).unwrap().source, Source::Mirror);
    }

    #[test]
    fn what_pip_and_python_can_do_wrong() {
        let wheel_twice = "while [ \"$1\" != --dest ]; do shift; done\ntouch \"$2/a.whl\" \"$2/b.whl\"";
        for (python, exit_code, texts) in [
            (
                Some("echo 'ERROR: No matching distribution found for gt-tiny==0.1' >&2\necho notice >&2\nexit 1"),
                5,
                &["cannot reach", "pip could not download gt-tiny==0.1: No matching distribution"][..],
            ),
            (Some("echo \"$0: No module named pip\" >&2\nexit 1"), 5, &["No module named pip"]),
            (Some("exit 3"), 5, &["exit status: 3"]),
            (Some("exit 0"), 5, &["0 wheels"]),
            (Some(wheel_twice), 5, &["2 wheels"]),
            (Some("exec sleep 60"), 5, &["longer than"]),
            (None, 5, &["does not start", "install Python 3"]),
        ] {
            let mut bench = Bench::new(&dead_endpoint());
            if let Some(python) = python {
                bench.python(python);
            }
            if python.is_some_and(|python| python.contains("sleep")) {
                bench.settings.pip_limit = Duration::from_millis(200);
            }
            check_error(&bench.resolve(&manifest(true)).unwrap_err(), exit_code, texts);
            assert_eq!(bench.cached_files(), [] as [PathBuf; 0]);
        }
    }

    #[test]
    fn two_at_once_both_get_a_whole_model() {
        let hub = FakeHub::start(ID, served(&FILES), Mood::Well);
        for endpoint in [hub.endpoint.clone(), dead_endpoint()] {
            let mut bench = Bench::new(&endpoint);
            let python = script(bench.root.path(), &FILES);
            bench.python(&python);
            let manifest = manifest(true);
            let folders: Vec<PathBuf> = std::thread::scope(|scope| {
                let one = || bench.resolve(&manifest).map(|resolved| resolved.folder);
                let threads: Vec<_> = (0..4).map(|_| scope.spawn(one)).collect();
                threads.into_iter().map(|thread| thread.join().unwrap().unwrap()).collect()
            });
            folders.iter().for_each(|folder| check_folder(folder, &FILES));
            assert_eq!(bench.resolve(&manifest).unwrap().source, Source::Cache);
        }
    }
}
