//! A server that runs, on tiny models, and a client that sends bytes. It must not know what is tested.
#![allow(dead_code)]

use serde_json::Value;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
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
        let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join("serve");
        // Of an earlier run.
        let _ = std::fs::remove_dir_all(&place);
        std::fs::create_dir_all(&place).unwrap();
        place
    })
}

fn train(name: &str, base: &str, rows: &str, more: &str) -> String {
    std::fs::write(place().join(format!("{name}.jsonl")), rows).unwrap();
    let base = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../tests/golden/{base}/model"));
    let arguments = format!(
        "train --train {name}.jsonl --output {name} --max-steps 2 --max-length 32 --threads 1 --baselines off --report off {more}"
    );
    let output = ferrotune(&arguments).arg("--model").arg(base).output().unwrap();
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
    let output = ferrotune(&format!("predict --model {model} --input {name} --format jsonl {more}")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_string).collect()
}

/// A server; it is killed with this.
pub struct Server {
    child: Child,
    pub port: u16,
    _stdout: BufReader<ChildStdout>,
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
        Server { child, port, _stdout: stdout }
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
        let mut said = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
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
