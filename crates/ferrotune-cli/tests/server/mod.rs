//! A server that runs, on tiny models, and a client that sends bytes. It must not know what is tested.
#![allow(dead_code)]

use serde_json::Value;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Longer than anything takes.
pub const LONG: Duration = Duration::from_secs(60);

/// The program.
pub fn ferrotune(arguments: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ferrotune"));
    command.args(arguments.split_whitespace()).current_dir(place());
    command
}

/// The folder of rows and models of this test program.
pub fn place() -> &'static Path {
    static PLACE: OnceLock<PathBuf> = OnceLock::new();
    PLACE.get_or_init(|| {
        let all = Path::new(env!("CARGO_TARGET_TMPDIR"));
        // Nothing is called when the program ends, so folders of earlier runs go here; another run may use its own now.
        for entry in std::fs::read_dir(all).unwrap().flatten() {
            let age = entry.metadata().and_then(|meta| meta.modified()).ok().and_then(|time| time.elapsed().ok());
            let ours = entry.file_name().to_string_lossy().starts_with("serve-");
            if ours && age.is_some_and(|age| age > Duration::from_secs(3600)) {
                let _ = std::fs::remove_dir_all(entry.path());
            }
        }
        let place = all.join(format!("serve-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&place);
        std::fs::create_dir_all(&place).unwrap();
        place
    })
}

/// What comes of a program that should end.
pub fn finished(command: &mut Command) -> Output {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let begin = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if begin.elapsed() > LONG {
            child.kill().unwrap();
            panic!("it does not end: {:?}", child.wait_with_output().unwrap());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    child.wait_with_output().unwrap()
}

fn train(name: &str, base: &str, rows: &str, more: &str) -> String {
    std::fs::write(place().join(format!("{name}.jsonl")), rows).unwrap();
    let base = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../tests/golden/{base}/model"));
    let arguments = format!(
        "train --train {name}.jsonl --output {name} --max-steps 2 --max-length 32 --threads 1 --baselines off --report off {more}"
    );
    let output = finished(ferrotune(&arguments).arg("--model").arg(base));
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    format!("{name}/best")
}

/// A classifier of texts.
pub fn classifier() -> &'static str {
    static MODEL: OnceLock<String> = OnceLock::new();
    MODEL.get_or_init(|| {
        let mut rows = String::new();
        for n in 0..60 {
            let class = ["good", "bad", "fair"][n % 3];
            writeln!(rows, r#"{{"text": "the river is {class} and {n}", "label": "{class}"}}"#).unwrap();
        }
        train("classes", "tiny-single", &rows, "")
    })
}

/// A classifier of pairs.
pub fn pairs() -> String {
    let row = |n: usize| format!("{{\"text_a\": \"river {n}\", \"text_b\": \"rain\", \"label\": \"{}\"}}\n", n % 2);
    train("pairs", "tiny-pair", &(0..60).map(row).collect::<String>(), "")
}

/// A model for each of the other tasks.
pub fn of_task(task: &str, more: &str) -> String {
    let row = |n: usize| {
        let label = match task {
            "binary" => format!("\"label\": \"{}\"", ["no", "yes"][n % 2]),
            "multi-label" => format!("\"labels\": {}", [r#"["wet"]"#, r#"["wet", "cold"]"#, "[]"][n % 3]),
            "regression" => format!("\"score\": {}", n as f64 / 10.0),
            _ => format!("\"label\": \"{}\"", ["a", "b", "c"][n % 3]),
        };
        format!("{{\"text\": \"the river is {n}\", {label}}}\n")
    };
    let name = format!("{task}-{}", more.len());
    train(&name, "tiny-single", &(0..60).map(row).collect::<String>(), &format!("--task {task} {more}"))
}

/// A tagger.
pub fn tagger() -> String {
    let row = |n: usize| {
        format!(
            "{{\"tokens\": [\"the\", \"river\", \"is\", \"{n}\"], \"tags\": [\"O\", \"B-X\", \"I-X\", \"{}\"]}}\n",
            ["O", "B-Y"][n % 2]
        )
    };
    train("tags", "tiny-single", &(0..60).map(row).collect::<String>(), "")
}

/// The lines that `predict` writes for rows.
pub fn predicted(model: &str, rows: &[Value], more: &str) -> Vec<String> {
    let input: String = rows.iter().map(|row| format!("{row}\n")).collect();
    let name = format!("{}.in.jsonl", model.replace('/', "-"));
    std::fs::write(place().join(&name), input).unwrap();
    let output = finished(&mut ferrotune(&format!("predict --model {model} --input {name} --format jsonl {more}")));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_string).collect()
}

/// A server; it is killed with this.
pub struct Server {
    child: Child,
    pub port: u16,
    _stdout: BufReader<ChildStdout>,
    said: Arc<Mutex<String>>,
    listens: Option<JoinHandle<()>>,
}

impl Server {
    /// Starts with these arguments besides model and port, and waits until it listens.
    pub fn start(model: &str, arguments: &str) -> Server {
        let mut child = ferrotune(&format!("serve --port 0 --model {model} {arguments}"))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let port = line.trim().strip_prefix("listening on http://127.0.0.1:").and_then(|port| port.parse().ok());
        let Some(port) = port else {
            let output = child.wait_with_output().unwrap();
            panic!("{line:?}, {}", String::from_utf8_lossy(&output.stderr));
        };
        let (said, stderr) = (Arc::<Mutex<String>>::default(), BufReader::new(child.stderr.take().unwrap()));
        let keeps = said.clone();
        let listens = std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                keeps.lock().unwrap().push_str(&(line + "\n"));
            }
        });
        Server { child, port, _stdout: stdout, said, listens: Some(listens) }
    }

    /// Waits until it has said this on standard error.
    #[track_caller]
    pub fn until_said(&self, words: &str) {
        let begin = Instant::now();
        while !self.said.lock().unwrap().contains(words) {
            assert!(begin.elapsed() < LONG, "no {words:?} in {:?}", self.said.lock().unwrap());
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Waits until no connection is accepted any more.
    #[track_caller]
    pub fn until_refused(&self) {
        let begin = Instant::now();
        while TcpStream::connect(("127.0.0.1", self.port)).is_ok() {
            assert!(begin.elapsed() < LONG, "it still listens");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        stream.set_nodelay(true).unwrap();
        stream
    }

    /// Sends bytes on a connection of their own.
    pub fn ask(&self, bytes: impl AsRef<[u8]>) -> Answer {
        let mut stream = self.connect();
        stream.write_all(bytes.as_ref()).unwrap();
        Answer::read(&mut stream)
    }

    pub fn get(&self, path: &str) -> Answer {
        self.ask(format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"))
    }

    pub fn predict(&self, body: &str) -> Answer {
        self.ask(post(body))
    }

    /// A number of `/metrics`.
    pub fn metric(&self, name: &str) -> i64 {
        let text = self.get("/metrics").body;
        let line = text.lines().find_map(|line| line.strip_prefix(&format!("ferrotune_{name} ")));
        line.unwrap_or_else(|| panic!("no {name} in {text}")).parse().unwrap()
    }

    /// Waits until a number is what it should be.
    #[track_caller]
    pub fn until(&self, name: &str, fits: impl Fn(i64) -> bool) {
        let begin = Instant::now();
        while !fits(self.metric(name)) {
            assert!(begin.elapsed() < LONG, "{name} is {}", self.metric(name));
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    pub fn signal(&self, name: &str) {
        let killed = Command::new("kill").arg(format!("-{name}")).arg(self.child.id().to_string()).status().unwrap();
        assert!(killed.success());
    }

    /// Waits for the end; what it said on standard error.
    pub fn end(mut self) -> (ExitStatus, String) {
        let status = self.child.wait().unwrap();
        self.listens.take().unwrap().join().unwrap();
        let said = self.said.lock().unwrap().clone();
        (status, said)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A request with this body.
pub fn post(body: &str) -> String {
    format!("POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    pub fn read(stream: &mut TcpStream) -> Answer {
        Answer::try_read(stream).expect("an answer")
    }

    /// None where the connection ends instead.
    pub fn try_read(stream: &mut TcpStream) -> Option<Answer> {
        let (mut head, mut byte) = (Vec::new(), [0]);
        while !head.ends_with(b"\r\n\r\n") {
            if !matches!(stream.read(&mut byte), Ok(1)) {
                return None;
            }
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).unwrap().to_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).map(|n| n.parse().unwrap());
        let mut body = vec![0; length.unwrap_or(0)];
        stream.read_exact(&mut body).ok()?;
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Some(Answer { status, head, body: String::from_utf8(body).unwrap() })
    }

    /// Whether it says that the connection ends with it.
    pub fn closes(&self) -> bool {
        self.head.contains("\r\nconnection: close\r\n")
    }

    /// Whether it is a problem of this status that says this.
    #[track_caller]
    pub fn is_problem(&self, status: u16, says: &str, of: &str) {
        assert_eq!(self.status, status, "{of}: {self:?}");
        assert!(self.head.contains("\r\ncontent-type: application/problem+json\r\n"), "{of}: {self:?}");
        let problem: Value = serde_json::from_str(&self.body).unwrap();
        assert_eq!((&problem["status"], &problem["type"]), (&status.into(), &"about:blank".into()), "{of}");
        assert!(problem["title"].is_string() && self.body.len() < 1000, "{of}: {self:?}");
        assert!(problem["detail"].as_str().unwrap().contains(says), "{of}: no {says:?} in {self:?}");
    }
}

/// Ends the writing side.
pub fn nothing_more(stream: &TcpStream) {
    stream.shutdown(Shutdown::Write).unwrap();
}
