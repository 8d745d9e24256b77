//! A server that costs as little as it can: a DLQ of nothing but times, with a thread per connection.

use crate::triage;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Runs by the times at which they failed, in order. The next one that is still there is found in nearly constant time.
#[derive(Default)]
struct Dlq {
    times: Vec<i64>,
    /// Whether each run tells an error of its own.
    has_causes: bool,
    next: Vec<u32>,
    latency: Duration,
    requests: u64,
}

const DAY: i64 = 86_400_000;
/// When the newest run failed: at the beginning of this day.
pub(crate) fn newest() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis();
    i64::try_from(now).unwrap() / DAY * DAY
}

impl Dlq {
    /// Evenly over ninety days, or 99 % of them within one hour.
    fn fill(&mut self, runs: i64, shape: &str) {
        let start = newest() - 90 * DAY;
        let even =
            |n: i64, of: i64| start + i64::try_from(i128::from(90 * DAY) * i128::from(n) / i128::from(of)).unwrap();
        self.times = match shape {
            "even" | "causes" => (0..runs).map(|n| even(n, runs)).collect(),
            _ => {
                let outside = runs / 100;
                let hour = |n: i64| newest() - 33 * DAY + n * 3_600_000 / (runs - outside);
                (0..outside).map(|n| even(n, outside)).chain((0..runs - outside).map(hour)).collect()
            }
        };
        self.times.sort_unstable();
        self.has_causes = shape == "causes";
        self.next = (0..=u32::try_from(runs).unwrap()).collect();
        self.requests = 0;
    }

    fn alive(&mut self, mut at: usize) -> usize {
        while self.next[at] as usize != at {
            let beyond = self.next[self.next[at] as usize];
            self.next[at] = beyond;
            at = beyond as usize;
        }
        at
    }

    /// Deletes the run of an id. Its number is after the last hyphen.
    fn delete(&mut self, id: &str) -> bool {
        let at: usize = id.rsplit('-').next().unwrap().parse().unwrap();
        let is_there = at < self.times.len() && self.next[at] as usize == at;
        if is_there {
            self.next[at] = u32::try_from(at + 1).unwrap();
        }
        is_there
    }

    /// How many of a page there are, and where the next begins.
    fn page(&mut self, query: &Query, delete: bool, mut visit: impl FnMut(usize, i64)) -> (u64, Option<usize>) {
        self.requests += 1;
        let start = self.times.partition_point(|time| *time < query.from).max(query.cursor);
        let mut at = self.alive(start.min(self.times.len()));
        let mut found = 0;
        while found < query.count && at < self.times.len() && self.times[at] <= query.to {
            visit(at, self.times[at]);
            if delete {
                self.next[at] = u32::try_from(at + 1).unwrap();
            }
            found += 1;
            at = self.alive(at + 1);
        }
        (found, (found == query.count).then_some(at))
    }
}

struct Query {
    from: i64,
    to: i64,
    count: u64,
    cursor: usize,
}

impl Query {
    fn parse(text: &str) -> Self {
        let mut query = Self { from: i64::MIN, to: i64::MAX, count: 100, cursor: 0 };
        for (name, value) in text.split('&').filter_map(|pair| pair.split_once('=')) {
            match name {
                "fromDate" => query.from = value.parse().unwrap(),
                "toDate" => query.to = value.parse().unwrap(),
                "count" => query.count = value.parse().unwrap(),
                "cursor" => query.cursor = value.parse().unwrap(),
                _ => {}
            }
        }
        query
    }
}

/// Serves until its standard input ends; the first line of output is its address.
pub(crate) fn serve() {
    let dlq = Arc::new(Mutex::new(Dlq::default()));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    println!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(|| {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
    for stream in listener.incoming() {
        let dlq = Arc::clone(&dlq);
        std::thread::Builder::new().stack_size(128 * 1024).spawn(move || connection(stream.unwrap(), &dlq)).unwrap();
    }
}

fn connection(mut stream: TcpStream, dlq: &Mutex<Dlq>) {
    stream.set_nodelay(true).unwrap();
    let mut buffer = vec![0; 16 * 1024];
    let mut filled = 0;
    let mut response = Vec::new();
    loop {
        let end = loop {
            match buffer[..filled].windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                Some(end) => break end + 4,
                None => match stream.read(&mut buffer[filled..]) {
                    Ok(read) if read > 0 => filled += read,
                    _ => return,
                },
            }
        };
        let head = std::str::from_utf8(&buffer[..end]).unwrap();
        let mut words = head.split(' ');
        let (method, target) = (words.next().unwrap(), words.next().unwrap());
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let latency = respond_to(method, path, query, dlq, &mut response);
        buffer.copy_within(end..filled, 0);
        filled -= end;
        if latency > Duration::ZERO {
            std::thread::sleep(latency);
        }
        if stream.write_all(&response).is_err() {
            return;
        }
    }
}

fn push_message(body: &mut String, n: usize, time: i64, has_causes: bool) {
    let error = if has_causes { triage::error_body(n) } else { "upstream failed".to_owned() };
    body.push_str(&format!(
        "{{\"dlqId\":\"{time}-{n}\",\"workflowRunId\":\"wfr_{n:016x}\",\"workflowUrl\":\"https://shop.example.com/api/workflow/{}\",\
         \"workflowCreatedAt\":{time},\"url\":\"https://shop.example.com/api/step\",\"method\":\"POST\",\"createdAt\":{time},\
         \"labels\":[\"nightly\"],\"failureFunctionState\":\"CALLBACK_FAIL\",\"responseStatus\":500,\"responseBody\":{}}}",
        n % 7,
        serde_json::Value::from(error)
    ));
}

fn respond_to(method: &str, path: &str, query: &str, dlq: &Mutex<Dlq>, response: &mut Vec<u8>) -> Duration {
    let mut dlq = dlq.lock().unwrap();
    let mut body = String::new();
    match (method, path) {
        // /reset/RUNS/SHAPE/LATENCY
        ("POST", path) if path.starts_with("/reset/") => {
            let mut parts = path.split('/').skip(2);
            let runs = parts.next().unwrap().parse().unwrap();
            dlq.fill(runs, parts.next().unwrap());
            dlq.latency = Duration::from_millis(parts.next().unwrap().parse().unwrap());
            body.push_str("{}");
        }
        ("GET", "/requests") => body = dlq.requests.to_string(),
        ("GET", path) if path.starts_with("/v2/workflows/dlq/") => {
            dlq.requests += 1;
            let id = path.rsplit('/').next().unwrap();
            let n: usize = id.rsplit('-').next().unwrap().parse().unwrap();
            push_message(&mut body, n, id.split('-').next().unwrap().parse().unwrap(), dlq.has_causes);
        }
        ("GET", _) => {
            body.push_str("{\"messages\":[");
            let has_causes = dlq.has_causes;
            let (_, next) = dlq.page(&Query::parse(query), false, |n, time| {
                if !body.ends_with('[') {
                    body.push(',');
                }
                push_message(&mut body, n, time, has_causes);
            });
            let cursor = next.map(|next| next.to_string()).unwrap_or_default();
            body.push_str(&format!("],\"cursor\":\"{cursor}\"}}"));
        }
        _ => {
            if query.contains("dlqIds=") {
                let ids = query.split('&').filter_map(|pair| pair.strip_prefix("dlqIds="));
                let deleted = ids.filter(|id| dlq.delete(id)).count();
                body = format!("{{\"deleted\":{deleted}}}");
                dlq.requests += 1;
            } else {
                let (deleted, next) = dlq.page(&Query::parse(query), true, |_, _| ());
                body = match next {
                    Some(next) => format!("{{\"deleted\":{deleted},\"cursor\":\"{next}\"}}"),
                    None => format!("{{\"deleted\":{deleted}}}"),
                };
            }
        }
    }
    response.clear();
    write!(
        response,
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    dlq.latency
}
