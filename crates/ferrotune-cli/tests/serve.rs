//! `ferrotune serve` as a client meets it, byte by byte, on tiny models: the answers of `predict`, a sentence for all that cannot be answered, and after
//! each abuse an answer again.
#![forbid(unsafe_code)]
#![cfg(unix)]

mod server;

use serde_json::{Value, json};
use server::*;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// Each row alone, all together, and all at once by many clients: the bytes that `predict` writes.
fn check_equal(model: &str, rows: &[Value], more: &str) {
    let lines = predicted(model, rows, more);
    assert_eq!(lines.len(), rows.len());
    let server = Server::start(model, more);
    let whole = |answer: Answer| {
        assert_eq!(answer.status, 200, "{answer:?}");
        assert!(answer.head.contains("\r\ncontent-type: application/json\r\n"), "{answer:?}");
        answer.body
    };
    let together = whole(server.predict(&json!({ "rows": rows }).to_string()));
    assert_eq!(together, format!("{{\"predictions\":[{}]}}", lines.join(",")));
    std::thread::scope(|scope| {
        for client in 0..8 {
            let (server, lines) = (&server, &lines);
            scope.spawn(move || {
                let mut stream = server.connect();
                for n in (0..rows.len()).map(|n| (n * 7 + client) % rows.len()) {
                    stream.write_all(post(&rows[n].to_string()).as_bytes()).unwrap();
                    assert_eq!(whole(Answer::read(&mut stream)), lines[n], "{}", rows[n]);
                }
            });
        }
    });
    let info: Value = serde_json::from_str(&server.get("/info").body).unwrap();
    assert!(!info["labels"].as_array().unwrap().is_empty() && info["precision"] == "f32", "{info}");
    assert_eq!(server.metric("rows_total"), 9 * rows.len() as i64);
    assert_eq!(server.metric("predict_seconds_count"), 8 * rows.len() as i64 + 1);
}

#[test]
fn answers_are_those_of_predict() {
    let long = "the river is good and bad ".repeat(3000);
    let texts =
        ["the river is good", "ä \u{1f600} [SEP] rain\n\t", "x", "the river  is bad and the rain is not", &long];
    let rows: Vec<Value> = texts.iter().map(|text| json!({ "text": text })).collect();
    check_equal(classifier(), &rows, "--threads 2");
    check_equal(classifier(), &rows, "--threads 1 --max-length 8");
    let pair = |a: &&str, b: &&str| json!({ "text_a": a, "text_b": b });
    let rows: Vec<Value> = texts.iter().zip(texts.iter().rev()).map(|(a, b)| pair(a, b)).collect();
    check_equal(&pairs(), &rows, "--threads 1");
    let words = |text: &&str| json!({ "tokens": text.split(' ').take(200).collect::<Vec<_>>() });
    check_equal(&tagger(), &texts.iter().map(words).collect::<Vec<_>>(), "--threads 1");
}

#[test]
fn answers_of_other_tasks_are_those_of_predict() {
    let rows: Vec<Value> = (0..6).map(|n| json!({ "text": "the river is wet and cold ".repeat(1 + n * n) })).collect();
    for task in ["binary", "multi-label", "regression"] {
        check_equal(&of_task(task, ""), &rows, "--threads 1");
    }
    let windows = of_task("classification", "--long-texts windows");
    check_equal(&windows, &rows, "--threads 1");
    // A text is cut nowhere, so it may be too long to go through the model at once.
    let server = Server::start(&windows, "--threads 1 --max-batch-tokens 40");
    let answer = server.predict(&rows[5].to_string());
    answer.is_problem(413, "tokens, and at most 40 are read: send it in parts", "windows");
    assert_eq!(server.predict(&rows[0].to_string()).status, 200);
}

/// Answers that say when the model abstains.
#[test]
fn a_model_that_abstains_says_so() {
    let model = classifier();
    let copy = place().join("abstaining");
    std::fs::create_dir_all(&copy).unwrap();
    for entry in std::fs::read_dir(place().join(model)).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), copy.join(entry.file_name())).unwrap();
    }
    let mut notes: Value = serde_json::from_slice(&std::fs::read(copy.join("ferrotune.json")).unwrap()).unwrap();
    notes["calibration"] = json!({ "temperature": 0.5, "rows": 60 });
    std::fs::write(copy.join("ferrotune.json"), notes.to_string()).unwrap();
    let calibrated = finished(&mut ferrotune("calibrate --model abstaining --data classes.jsonl --abstain-below 0.5"));
    assert!(calibrated.status.success(), "{}", String::from_utf8_lossy(&calibrated.stderr));
    let rows = [json!({ "text": "the river is good" })];
    assert!(predicted("abstaining", &rows, "")[0].contains("\"abstains\":"));
    check_equal("abstaining", &rows, "--threads 1");
}

#[test]
fn what_cannot_be_answered_is_said() {
    let server = Server::start(classifier(), "--threads 1 --max-rows 3 --max-body 5000 --max-batch-tokens 32");
    let fine = || {
        let answer = server.predict(r#"{"text": "the river is good"}"#);
        assert_eq!(answer.status, 200, "{answer:?}");
    };
    let head = |more: &str| format!("POST /predict HTTP/1.1\r\nHost: x\r\n{more}\r\n");
    let body = r#"{"text": "the rain"}"#;
    let chunk = |text: &str| format!("{:x}\r\n{text}\r\n", text.len());
    let large = "x".repeat(6000);
    let long_key = format!("{{\"{}\": 1}}", "k".repeat(4000));
    let invalid = [post("{\"text\": \"????\"}").into_bytes(), Vec::new()].concat();
    let invalid: Vec<u8> = invalid.into_iter().map(|byte| if byte == b'?' { 0xff } else { byte }).collect();
    for (bytes, status, says) in [
        (post("").into_bytes(), 400, "the body is no JSON"),
        (post("{\"text\": \"a").into_bytes(), 400, "the body is no JSON"),
        (invalid, 400, "the body is no JSON"),
        (post("[]").into_bytes(), 422, "expected an object"),
        (post(&"[".repeat(4000)).into_bytes(), 422, "expected an object"),
        (post(&"{\"rows\":".repeat(500)).into_bytes(), 422, "expected a sequence"),
        (post(&long_key).into_bytes(), 422, "unknown field `kkk"),
        (post(r#"{"text": ""}"#).into_bytes(), 422, "`text` is empty: send {\"text\": \"...\"}"),
        (post(r#"{"text": "a", "text_b": "b"}"#).into_bytes(), 422, "`text_b` is not what this model reads"),
        (post(r#"{"tokens": ["a"]}"#).into_bytes(), 422, "`text` is missing"),
        (post(r#"{"rows": []}"#).into_bytes(), 422, "`rows` is empty"),
        (post(r#"{"rows": [{}, {}, {}, {}]}"#).into_bytes(), 413, "has 4 rows, and a request may have 3"),
        (post(&large).into_bytes(), 413, "larger than 5000 bytes"),
        (head("Content-Length: 99999999999\r\n").into_bytes(), 413, "larger than 5000 bytes"),
        (
            (head("Transfer-Encoding: chunked\r\n") + &chunk(&large) + "0\r\n\r\n").into_bytes(),
            413,
            "larger than 5000 bytes",
        ),
        ((head("Transfer-Encoding: chunked\r\n") + "nonsense\r\n").into_bytes(), 400, "no chunks"),
        (head("Content-Encoding: gzip\r\nContent-Length: 0\r\n").into_bytes(), 415, "plain JSON"),
        (b"GET /nothing?a=b HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(), 404, "the paths are"),
        (b"GET /predict HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(), 405, "POST for /predict"),
        (b"DELETE /info HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(), 405, "GET for all others"),
    ] {
        let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(120)]).into_owned();
        server.ask(&bytes).is_problem(status, says, &shown);
        fine();
    }
    // Behind a body that is not wanted the next request is found, or the connection ends with the answer.
    let long = "x".repeat(100_000);
    for (request, status, closes) in [
        (post(&large), 413, false),
        (post(r#"{"rows": [{}, {}, {}, {}]}"#), 413, false),
        (post(body).replace("Host", "Content-Encoding: gzip\r\nHost"), 415, false),
        (post(body).replace("/predict", "/nothing"), 404, false),
        (post(body).replace("/predict", "/info"), 405, false),
        (post(body).replace("POST /predict", "GET /livez"), 200, false),
        (post(&long), 413, true),
        (post(&long).replace("/predict", "/nothing"), 404, true),
        (head("Expect: 100-continue\r\nContent-Length: 99999\r\n"), 413, true),
        (head("Expect: 100-continue\r\nContent-Length: 9\r\nContent-Encoding: gzip\r\n"), 415, true),
    ] {
        let mut stream = server.connect();
        // The server may close before all is sent.
        let _ = stream.write_all(request.as_bytes());
        let answer = Answer::read(&mut stream);
        assert_eq!((answer.status, answer.closes()), (status, closes), "{answer:?}: {}", &request[..60]);
        if !closes {
            stream.write_all(post(body).as_bytes()).unwrap();
            assert_eq!(Answer::read(&mut stream).status, 200, "after {}", &request[..60]);
        }
    }
    let mut stream = server.connect();
    stream.write_all(b"HEAD /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut alone = String::new();
    stream.read_to_string(&mut alone).unwrap();
    assert!(alone.starts_with("HTTP/1.1 200 ") && alone.ends_with("\r\n\r\n"), "{alone:?}");
    // Chunks that are chunks, and a client that asks before it sends.
    let chunked = head("Transfer-Encoding: chunked\r\n") + &chunk(&body[..5]) + &chunk(&body[5..]) + "0\r\n\r\n";
    assert_eq!(server.ask(chunked).body, server.predict(body).body);
    let mut stream = server.connect();
    stream.write_all(head(&format!("Expect: 100-continue\r\nContent-Length: {}\r\n", body.len())).as_bytes()).unwrap();
    assert_eq!(Answer::read(&mut stream).status, 100);
    stream.write_all(body.as_bytes()).unwrap();
    assert_eq!(Answer::read(&mut stream).status, 200);

    // What hyper refuses by itself, and what ends without an answer.
    let mut refused = Vec::new();
    let many = (0..200).map(|n| format!("X-{n}: x\r\n")).collect::<String>();
    for (bytes, statuses) in [
        (head(&format!("X: {}\r\n", "x".repeat(1_000_000))), vec![431]),
        (head(&many), vec![431]),
        ("NONSENSE\r\n\r\n".to_string(), vec![400]),
        ("\u{16}\u{3}\u{1}\u{2}".repeat(20) + "\r\n\r\n", vec![400]),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_string(), vec![400, 505]),
        (head("Content-Length: -1\r\n"), vec![400]),
        (head("Content-Length: 1\r\nContent-Length: 2\r\n"), vec![400]),
        (head("Transfer-Encoding: gzip\r\n"), vec![400]),
    ] {
        let mut stream = server.connect();
        // The server may close before all is sent.
        let _ = stream.write_all(bytes.as_bytes());
        let answer = Answer::try_read(&mut stream).map(|answer| answer.status);
        assert!(
            answer.is_none_or(|status| statuses.contains(&status)),
            "{answer:?}: {:?}",
            &bytes[..40.min(bytes.len())]
        );
        refused.extend(answer);
        fine();
    }
    assert!(refused.contains(&431) && refused.contains(&400), "{refused:?}");
    // A body that is shorter than was said: nobody is left to answer.
    let mut stream = server.connect();
    stream.write_all((head("Content-Length: 100\r\n") + body).as_bytes()).unwrap();
    nothing_more(&stream);
    let answer = Answer::try_read(&mut stream).map(|answer| answer.status);
    assert!(matches!(answer, None | Some(400)), "{answer:?}");
    // Two lengths in one request: what follows the first that could be meant is no request of its own.
    let smuggled =
        head("Content-Length: 6\r\nTransfer-Encoding: chunked\r\n") + "0\r\n\r\nGET /info HTTP/1.1\r\nHost: x\r\n\r\n";
    let mut stream = server.connect();
    stream.write_all(smuggled.as_bytes()).unwrap();
    let first = Answer::try_read(&mut stream).map(|answer| answer.status);
    assert!(matches!(first, None | Some(400)), "{first:?}");
    assert!(Answer::try_read(&mut stream).is_none(), "a second answer");
    fine();

    for path in ["/livez", "/readyz"] {
        assert_eq!(server.get(path).status, 200);
    }
    let text = server.get("/metrics").body;
    for line in ["ferrotune_responses_total{path=\"other\",status=\"404\"} 3", "ferrotune_waiting_requests 0"] {
        assert!(text.contains(line), "no {line} in {text}");
    }
    server.signal("TERM");
    let (status, said) = server.end();
    assert_eq!(status.code(), Some(0));
    assert!(!said.contains("rain") && !said.contains("river"), "{said}");
}

#[test]
fn a_key_opens_all_but_the_health() {
    std::fs::write(place().join("key"), "s3cret\n").unwrap();
    let server = Server::start(classifier(), "--threads 1 --api-key-file key");
    let ask = |method: &str, path: &str, key: &str| {
        let body = if method == "POST" { r#"{"text": "a"}"# } else { "" };
        let length = body.len();
        server.ask(format!("{method} {path} HTTP/1.1\r\nHost: x\r\n{key}Content-Length: {length}\r\n\r\n{body}"))
    };
    for (method, path) in [("POST", "/predict"), ("GET", "/info"), ("GET", "/metrics")] {
        for wrong in ["", "Authorization: Bearer s3cre\r\n", "Authorization: s3cret\r\n"] {
            let answer = ask(method, path, wrong);
            answer.is_problem(401, "Authorization: Bearer KEY", path);
            assert!(answer.head.contains("\r\nwww-authenticate: bearer\r\n"), "{answer:?}");
        }
        assert_eq!(ask(method, path, "Authorization: Bearer s3cret\r\n").status, 200);
    }
    assert_eq!((ask("GET", "/livez", "").status, ask("GET", "/readyz", "").status), (200, 200));
    // What has no key is not waited for, and what comes after it on the connection is.
    let body = r#"{"text": "a"}"#;
    let mut stream = server.connect();
    stream.write_all(post(body).as_bytes()).unwrap();
    assert_eq!(Answer::read(&mut stream).status, 401);
    stream.write_all(post(body).replace("Host", "Authorization: Bearer s3cret\r\nHost").as_bytes()).unwrap();
    assert_eq!(Answer::read(&mut stream).status, 200);
}

/// Large bodies that never end keep other large ones out, and no small ones; when they go, their memory is there again.
#[test]
fn who_sends_slowly_does_not_keep_others_out() {
    let server = Server::start(classifier(), "--threads 1 --read-timeout 60");
    let (most, small) = (2 << 20, r#"{"text": "the river is good"}"#);
    let part = vec![b' '; most - 1];
    let slow: Vec<TcpStream> = (0..33)
        .map(|_| {
            let mut stream = server.connect();
            let head = format!("POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: {most}\r\n\r\n");
            stream.write_all(head.as_bytes()).unwrap();
            stream.write_all(&part).unwrap();
            stream
        })
        .collect();
    let large = format!("{small}{}", " ".repeat(most - 100));
    let begin = Instant::now();
    let refused = loop {
        let answer = server.predict(&large);
        if answer.status != 200 {
            break answer;
        }
        assert!(begin.elapsed() < LONG);
    };
    refused.is_problem(429, "too many large bodies", "one more");
    assert!(refused.head.contains("\r\nretry-after: 1\r\n") && !refused.closes(), "{refused:?}");
    assert_eq!(server.predict(small).status, 200);
    drop(slow);
    server.until("connections", |open| open == 1);
    assert_eq!(server.predict(&large).status, 200);
}

/// So many rows, of which each goes through the model alone.
fn rows(count: usize) -> String {
    json!({ "rows": vec![json!({ "text": "x" }); count] }).to_string()
}

/// A request that takes seconds.
fn slow() -> String {
    rows(300_000)
}

/// A row has three tokens, and so many go through the model at once.
const SLOW: &str = "--threads 1 --max-rows 1000000 --max-body 10000000 --max-length 3 --max-batch-tokens 3";

fn send(server: &Server, body: &str) -> TcpStream {
    let mut stream = server.connect();
    stream.write_all(post(body).as_bytes()).unwrap();
    stream
}

#[test]
fn who_comes_too_many_is_told_and_who_goes_leaves_nothing() {
    let server = Server::start(classifier(), &format!("{SLOW} --max-waiting 1"));
    let small = r#"{"text": "the river is good"}"#;
    let first = send(&server, &slow());
    server.until("batches_total", |batches| batches > 0);
    let second = send(&server, small);
    server.until("waiting_requests", |waiting| waiting == 1);
    let begin = Instant::now();
    let third = server.predict(small);
    third.is_problem(429, "1 requests wait already", "a third");
    assert!(third.head.contains("\r\nretry-after: 1\r\n") && begin.elapsed() < Duration::from_secs(1), "{third:?}");
    assert_eq!((server.get("/livez").status, server.get("/readyz").status), (200, 200));
    // Those that go make room, in the queue and in the model.
    drop(second);
    server.until("connections", |open| open == 2);
    let mut fourth = send(&server, small);
    server.until("waiting_requests", |waiting| waiting == 1);
    drop(first);
    assert_eq!(Answer::read(&mut fourth).status, 200);
    drop(fourth);
    server.until("connections", |open| open == 1);
    assert_eq!((server.metric("waiting_requests"), server.metric("dropped_total")), (0, 1));
    // Many that go at once.
    for _ in 0..50 {
        drop(send(&server, small));
    }
    server.until("connections", |open| open == 1);
    server.until("waiting_requests", |waiting| waiting == 0);
    assert_eq!(server.predict(small).status, 200);
}

#[test]
fn who_is_slow_is_not_waited_for() {
    let server = Server::start(classifier(), &format!("{SLOW} --timeout 1 --read-timeout 1"));
    let begin = Instant::now();
    let mut header = server.connect();
    header.write_all(b"POST /predict HTTP/1.1\r\nHost: x\r\nX-Slow: ").unwrap();
    let mut silent = server.connect();
    let mut body = server.connect();
    body.write_all(b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{\"text\"").unwrap();
    let mut answer = send(&server, &slow());
    assert_eq!(server.get("/livez").status, 200);
    Answer::read(&mut body).is_problem(408, "did not come within 1 seconds", "a slow body");
    for (name, stream) in [("header", &mut header), ("silent", &mut silent)] {
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).unwrap();
        assert!(rest.is_empty() || rest.starts_with(b"HTTP/1.1 408"), "{name}: {}", String::from_utf8_lossy(&rest));
    }
    Answer::read(&mut answer).is_problem(504, "no answer within 1 seconds", "many rows");
    assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());
    server.until("dropped_total", |dropped| dropped == 1);
    assert_eq!(server.predict(r#"{"text": "the river is good"}"#).status, 200);
}

#[test]
fn a_signal_lets_it_finish_and_a_second_one_does_not() {
    let server = Server::start(classifier(), SLOW);
    let mut working = send(&server, &rows(20_000));
    let (mut asks, mut sends, mut kept) = (server.connect(), server.connect(), server.connect());
    kept.write_all(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    assert_eq!(Answer::read(&mut kept).status, 200);
    // Requests that have begun.
    asks.write_all(b"GET /readyz HTTP/1.1\r\n").unwrap();
    sends.write_all(b"POST /predict HTTP/1.1\r\n").unwrap();
    server.until("batches_total", |batches| batches > 0);
    server.signal("TERM");
    // A connection without a request is closed, and no other is accepted.
    assert!(Answer::try_read(&mut kept).is_none());
    server.until_refused();
    asks.write_all(b"Host: x\r\n\r\n").unwrap();
    Answer::read(&mut asks).is_problem(503, "is stopping", "readiness");
    sends.write_all(b"Host: x\r\nContent-Length: 13\r\n\r\n{\"text\": \"a\"}").unwrap();
    Answer::read(&mut sends).is_problem(503, "is stopping", "a request");
    let answer = Answer::read(&mut working);
    assert_eq!(answer.status, 200);
    let answer: Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(answer["predictions"].as_array().unwrap().len(), 20_000);
    let (status, said) = server.end();
    assert_eq!(status.code(), Some(0), "{said}");
    assert!(said.contains("stopping when what is in flight is answered"), "{said}");

    let server = Server::start(classifier(), SLOW);
    let _working = send(&server, &slow());
    server.until("batches_total", |batches| batches > 0);
    server.signal("INT");
    server.until_said("stopping when");
    server.signal("INT");
    assert_eq!(server.end().0.code(), Some(130));

    let server = Server::start(classifier(), &format!("{SLOW} --drain-timeout 1"));
    let mut working = send(&server, &slow());
    server.until("batches_total", |batches| batches > 0);
    server.signal("TERM");
    assert!(Answer::try_read(&mut working).is_none());
    let (status, said) = server.end();
    assert_eq!(status.code(), Some(0), "{said}");
    assert!(said.contains("1 connections were not finished in 1 seconds"), "{said}");
}

#[test]
fn what_keeps_it_from_starting_is_said() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let model = classifier();
    std::fs::write(place().join("blank"), " \n").unwrap();
    std::fs::create_dir_all(place().join("hollow")).unwrap();
    for (arguments, code, says) in [
        (format!("--model {model} --port {port}"), 5, "another program listens there: say another --port"),
        (format!("--model {model} --host 192.0.2.1 --port 0"), 5, "is no address of this machine"),
        ("--model hollow --port 0".to_string(), 4, "hollow"),
        (format!("--model {model} --max-rows 0"), 2, "--max-rows"),
        (format!("--model {model} --max-length 1000"), 2, "--max-length is 1000"),
        (
            format!("--model {model} --max-batch-tokens 31"),
            2,
            "--max-batch-tokens is 31, and a row of this model may have 32",
        ),
        (format!("--model {model} --api-key-file blank"), 2, "--api-key-file blank is empty"),
        (format!("--model {model} --api-key-file none"), 5, "cannot read --api-key-file none"),
    ] {
        let output = finished(&mut ferrotune(&format!("serve {arguments}")));
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments}: {said}");
        assert!(said.contains(says) && output.stdout.is_empty(), "{arguments}: no {says:?} in {said}");
    }
}
