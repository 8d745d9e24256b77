//! What the tests of the command share.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::process::{Child, ChildStderr, Command, Output, Stdio};
use std::sync::mpsc::{self, Receiver};
use upstash_dlq_emulator::{Config, LOCAL_TOKEN, Server, ServerOptions, Service, sample};

pub(crate) const NEWEST: i64 = 1_764_000_000_000;

pub(crate) fn emulator(runs: usize) -> Server {
    let mut service = Service::new(Config::default());
    sample::runs(runs, 1, NEWEST).into_iter().for_each(|run| service.insert(run));
    Server::start(service, ServerOptions::default()).unwrap()
}

pub(crate) fn command(url: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_upstash-dlq"));
    for name in ["QSTASH_REGION", "US_EAST_1_QSTASH_URL", "US_EAST_1_QSTASH_TOKEN", "HTTP_PROXY", "http_proxy"] {
        command.env_remove(name);
    }
    command.env("QSTASH_URL", url).env("QSTASH_TOKEN", LOCAL_TOKEN).stdin(Stdio::null());
    command
}

pub(crate) fn run(url: &str, args: &[&str]) -> Output {
    command(url).args(args).output().unwrap()
}

/// A server that responds to every request with the same bytes. Also returns the first line of each request.
pub(crate) fn canned(response: impl Into<String>) -> (String, Receiver<String>) {
    let response = response.into();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (heard, requests) = mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
            let first = lines.next().unwrap_or_default();
            lines.find(String::is_empty);
            // Nobody has to listen, neither here nor there.
            let _ = heard.send(first);
            let _ = stream.write_all(response.as_bytes());
        }
    });
    (url, requests)
}

/// A whole response that says yes.
pub(crate) fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

pub(crate) fn json(output: &Output) -> serde_json::Value {
    serde_json::from_str(
        text(&output.stdout).lines().last().unwrap_or_else(|| panic!("no output: {}", text(&output.stderr))),
    )
    .unwrap()
}

/// Reads standard error up to the line that contains `text`, and returns the reader of what follows.
pub(crate) fn stderr_after(child: &mut Child, text: &str) -> BufReader<ChildStderr> {
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains(text) {
        line.clear();
        assert!(stderr.read_line(&mut line).unwrap() > 0, "the command ended before it said {text:?}");
    }
    stderr
}

/// Something like a pipe whose reader has gone. A process that another thread is just starting may still have the reader's end, up
/// to its exec, so it is shut down.
#[cfg(unix)]
pub(crate) fn closed_pipe() -> Stdio {
    let (reader, writer) = std::os::unix::net::UnixStream::pair().unwrap();
    reader.shutdown(std::net::Shutdown::Both).unwrap();
    std::os::fd::OwnedFd::from(writer).into()
}
