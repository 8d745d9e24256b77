//! Processes, and what they cost.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use wait4::Wait4;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Cost {
    pub(crate) wall: Duration,
    /// User and system time.
    pub(crate) cpu: Duration,
    /// At most so much memory was resident, in bytes.
    pub(crate) memory: u64,
}

/// Runs it to its end.
pub(crate) fn measure(command: &mut Command) -> Cost {
    let start = Instant::now();
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    let ended = child.wait4().unwrap();
    assert!(ended.status.success(), "{command:?}: {}", ended.status);
    let usage = ended.rusage;
    Cost { wall: start.elapsed(), cpu: usage.utime + usage.stime, memory: usage.maxrss }
}

/// The cheapest of several, part by part.
pub(crate) fn least(costs: impl IntoIterator<Item = Cost>) -> Cost {
    costs
        .into_iter()
        .reduce(|a, b| Cost { wall: a.wall.min(b.wall), cpu: a.cpu.min(b.cpu), memory: a.memory.min(b.memory) })
        .expect("at least one")
}

pub(crate) struct Server {
    child: Child,
    pub(crate) url: String,
}

impl Server {
    pub(crate) fn start() -> Self {
        let mut child = Command::new(this()).arg("serve").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut url = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut url).unwrap();
        Self { child, url: url.trim().to_owned() }
    }

    /// Starts over with so many runs, and responds after this latency.
    pub(crate) fn reset(&self, runs: u64, shape: &str, latency_ms: u64) {
        self.ask(&format!("POST /reset/{runs}/{shape}/{latency_ms}"));
    }

    /// How many requests it has served since.
    pub(crate) fn requests(&self) -> u64 {
        self.ask("GET /requests").parse().unwrap()
    }

    fn ask(&self, line: &str) -> String {
        let mut stream = TcpStream::connect(self.url.strip_prefix("http://").unwrap()).unwrap();
        write!(stream, "{line} HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
        let mut response = vec![0; 4096];
        let mut filled = 0;
        loop {
            filled += stream.read(&mut response[filled..]).unwrap();
            let text = String::from_utf8_lossy(&response[..filled]);
            let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
            let length: usize = head.rsplit(' ').next().unwrap().parse().unwrap();
            if body.len() >= length {
                return body.to_owned();
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn this() -> PathBuf {
    std::env::current_exe().unwrap()
}

pub(crate) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// One of the loops of `clients.rs`.
pub(crate) fn client(kind: &str, server: &Server, rest: &[String]) -> Command {
    let mut command = Command::new(this());
    command.args(["client", kind, &server.url]).args(rest);
    command
}

/// The command, built for release.
pub(crate) fn cli() -> PathBuf {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let mut build = Command::new(cargo);
    build
        .args(["build", "--release", "--locked", "-q", "-p", "upstash-dlq", "--message-format=json"])
        .current_dir(root());
    let output = build.stderr(Stdio::inherit()).output().unwrap();
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    let path = text.lines().rev().find_map(|line| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        Some(PathBuf::from(message.get("executable")?.as_str()?))
    });
    path.expect("cargo names the executable")
}

pub(crate) fn delete(cli: &PathBuf, server: &Server, args: &[&str]) -> Command {
    let mut command = Command::new(cli);
    command
        .args(["delete", "--all", "--yes", "--quiet"])
        .args(args)
        .env("QSTASH_URL", &server.url)
        .env("QSTASH_TOKEN", "token");
    command
}
