//! What goes wrong between a client and the service: one list, for each transport and for the command. A new fault is one entry.

use super::tls;
use super::world::{Break, World};
use std::any::Any;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;
use upstash_dlq_core::Delivery;

/// Long enough for a loopback connection, short enough to wait for.
pub(crate) const SHORT: Duration = Duration::from_millis(200);
/// Even a busy machine has connected by then: before, it would not count as sent.
pub(crate) const AMPLE: Duration = Duration::from_secs(1);

pub(crate) struct Fault {
    pub(crate) name: &'static str,
    /// What may have become of the request that meets it.
    pub(crate) fate: Fate,
    pub(crate) limit: Limit,
    /// Whether the client trusts the authority of these tests.
    pub(crate) trusting: bool,
    pub(crate) way: Way,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It has no response.
    Failed(Delivery),
    /// It has one, whatever that is worth.
    Answered,
}

/// Which time has to be short, so that nobody waits: that for connecting, or the whole one, which is long enough for that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Limit {
    None,
    Connect,
    Whole,
}

pub(crate) enum Way {
    /// The service is not reached.
    Elsewhere(fn() -> Place),
    /// The service is reached, and then this.
    Service(Break),
}

/// Where a client has to go.
pub(crate) struct Place {
    pub(crate) url: String,
    pub(crate) proxy: Option<String>,
    /// What has to live as long.
    _held: Option<Box<dyn Any + Send + Sync>>,
}

const NOT_SENT: Fate = Fate::Failed(Delivery::NotSent);
const UNKNOWN: Fate = Fate::Failed(Delivery::Unknown);

impl Fault {
    const fn before(name: &'static str, place: fn() -> Place) -> Self {
        Self { name, fate: NOT_SENT, limit: Limit::None, trusting: false, way: Way::Elsewhere(place) }
    }

    /// The request was carried out, and the connection ends like this.
    const fn after(name: &'static str, respond: fn(&World, &mut TcpStream, &[u8])) -> Self {
        let way = Way::Service(Break { carried_out: true, reset: false, respond });
        Self { name, fate: UNKNOWN, limit: Limit::None, trusting: false, way }
    }

    const fn by_a_reset(self) -> Self {
        let way = match self.way {
            Way::Service(broken) => Way::Service(Break { reset: true, ..broken }),
            elsewhere @ Way::Elsewhere(_) => elsewhere,
        };
        Self { way, ..self }
    }

    const fn within(self, limit: Limit) -> Self {
        Self { limit, ..self }
    }

    const fn trusting(self) -> Self {
        Self { trusting: true, ..self }
    }

    const fn unknown(self) -> Self {
        Self { fate: UNKNOWN, ..self }
    }
}

impl Place {
    pub(crate) fn at(url: String) -> Self {
        Self { url, proxy: None, _held: None }
    }

    fn through(host: &str, proxy: String) -> Self {
        Self { url: format!("https://{host}.invalid"), proxy: Some(proxy), _held: None }
    }
}

pub(crate) fn faults() -> Vec<Fault> {
    vec![
        // Too long a label for a name: no server is asked for it.
        Fault::before("lookup: no such name", || Place::at(format!("https://{}.invalid", "a".repeat(64)))),
        Fault::before("connect: no route", || Place::at("https://255.255.255.255:9".into())),
        Fault::before("connect: refused", || Place::at(format!("http://{}", closed()))),
        Fault::before("connect: no answer", full).within(Limit::Connect),
        Fault::before("connect: no answer, in the whole time", full).within(Limit::Whole),
        Fault::before("proxy: 407", || Place::through("p407", proxy())),
        Fault::before("proxy: 502", || Place::through("p502", proxy())),
        Fault::before("proxy: closes", || Place::through("closes", proxy())),
        Fault::before("proxy: silent", || Place::through("silent", proxy())).within(Limit::Connect),
        Fault::before("proxy: silent, in the whole time", || Place::through("silent", proxy())).within(Limit::Whole),
        Fault::before("proxy: refused", || Place::through("p200", format!("http://{}", closed()))),
        Fault::before("proxy: no such name", || Place::through("p200", format!("http://{}.invalid:1", "a".repeat(64)))),
        Fault::before("proxy: no TLS behind it", || Place::through("plain", proxy())),
        Fault::before("proxy: the end behind it", || Place::through("ends", proxy())),
        Fault::before("TLS: a certificate of nobody", || https(tls::serve_one)),
        Fault::before("TLS: a port that speaks HTTP", || https(plain)),
        Fault::before("TLS: reset in the handshake", || https(reset)),
        Fault::before("TLS: closed in the handshake", || https(end)),
        Fault::before("TLS: silent in the handshake", || https(hold)).within(Limit::Connect),
        Fault::before("TLS: silent in the handshake, in the whole time", || https(hold)).within(Limit::Whole),
        Fault::before("TLS: closed after the request", || {
            https(|stream| {
                tls::read_head(&mut tls::accept(stream));
            })
        })
        .trusting()
        .unknown(),
        Fault::before("TLS: silent after the request", || https(|stream| hold_tls(tls::accept(stream))))
            .trusting()
            .within(Limit::Whole)
            .unknown(),
        Fault::before("proxy: closed after the request", || Place::through("behind", proxy())).trusting().unknown(),
        Fault {
            way: Way::Service(Break { carried_out: false, reset: true, respond: |_, _, _| {} }),
            ..Fault::after("reset within the request", |_, _, _| {})
        },
        Fault {
            way: Way::Service(Break { carried_out: false, reset: false, respond: |_, _, _| {} }),
            ..Fault::after("closed, and not carried out", |_, _, _| {})
        },
        Fault::after("closed before the head", |_, _, _| {}),
        Fault::after("closed within the head", |_, stream, _| say(stream, "HTTP/1.1 200 OK\r\ncontent-")),
        Fault::after("closed after the head", |_, stream, right| write(stream, &right[..body_of(right)])),
        Fault::after("closed within the body", |_, stream, right| write(stream, &right[..right.len() - 1])),
        Fault::after("closed within a chunk", |_, stream, _| {
            say(stream, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n64\r\n{\"deleted\":0}");
        }),
        Fault::after("reset before the head", |_, _, _| {}).by_a_reset(),
        Fault::after("reset within the head", |_, stream, _| say(stream, "HTTP/1.1 200 OK\r\ncontent-")).by_a_reset(),
        Fault::after("reset after the head", |_, stream, right| write(stream, &right[..body_of(right)])).by_a_reset(),
        Fault::after("reset within the body", |_, stream, right| write(stream, &right[..right.len() - 1])).by_a_reset(),
        Fault::after("silent", |_, stream, _| wait_for_the_end(stream)).within(Limit::Whole),
        Fault::after("silent after the head", |_, stream, right| {
            write(stream, &right[..body_of(right)]);
            wait_for_the_end(stream);
        })
        .within(Limit::Whole),
        Fault::after("a head that trickles", |_, stream, _| trickle(stream, "HTTP/1.1 200 OK\r\nx-slow: "))
            .within(Limit::Whole),
        Fault::after("a body that trickles", |_, stream, _| {
            trickle(stream, "HTTP/1.1 200 OK\r\ncontent-length: 9999\r\n\r\n");
        })
        .within(Limit::Whole),
        Fault::after("not HTTP", |_, stream, _| say(stream, "SSH-2.0-OpenSSH_9.6\r\n\r\n")),
        // A server's words are no proof of anything.
        Fault::after("words of a failed connection", |_, stream, _| {
            say(stream, "invalid peer certificate: connection refused 200\r\n\r\n");
        }),
        Fault::after("a length that is too long", |_, stream, right| with_length(stream, right, "99999")),
        Fault {
            fate: Fate::Answered,
            ..Fault::after("a length that is too short", |_, stream, right| with_length(stream, right, "9"))
        },
        Fault::after("a length below zero", |_, stream, right| with_length(stream, right, "-1")),
        Fault::after("a length beyond 64 bits", |_, stream, right| with_length(stream, right, "18446744073709551617")),
        Fault::after("two lengths", |_, stream, right| {
            let two = format!("{}\r\ncontent-length: 9", right.len() - body_of(right));
            with_length(stream, right, &two);
        }),
        Fault::after("a length of 4 GiB, of which 32 bits leave two bytes", |_, stream, _| {
            say(stream, "HTTP/1.1 200 OK\r\ncontent-length: 4294967298\r\n\r\n{}");
            wait_for_the_end(stream);
        }),
        Fault::after("4 GiB with their length", |world, stream, _| {
            say(stream, "HTTP/1.1 200 OK\r\ncontent-length: 4294967296\r\n\r\n");
            world.pour(stream, &[b' '; 65_536]);
        }),
        Fault::after("4 GiB in chunks", |world, stream, _| {
            say(stream, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
            world.pour(stream, &[b"10000\r\n", &[b' '; 65_536][..], b"\r\n"].concat());
        }),
        Fault::after("4 GiB up to the end", |world, stream, _| {
            say(stream, "HTTP/1.1 200 OK\r\n\r\n");
            world.pour(stream, &[b' '; 65_536]);
        }),
        Fault::after("4 GiB of headers", |world, stream, _| {
            say(stream, "HTTP/1.1 200 OK\r\n");
            world.pour(stream, &b"x-more: and more\r\n".repeat(4096));
        }),
    ]
}

pub(crate) fn listen(serve: impl Fn(TcpStream) + Clone + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let serve = serve.clone();
            std::thread::spawn(move || serve(stream.unwrap()));
        }
    });
    address
}

/// Nobody listens here. The port is a client's, which keeps it to the end of the process: one that was only free a moment ago
/// could be the next listener's.
fn closed() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let address = client.local_addr().unwrap();
    std::mem::forget((listener, client));
    address
}

/// Somebody listens, and has no room for one more: further connections are never made.
fn full() -> Place {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let mut waiting = Vec::new();
    while let Ok(stream) = TcpStream::connect_timeout(&address, SHORT) {
        waiting.push(stream);
        assert!(waiting.len() < 10_000, "the queue of a listener has no end here");
    }
    Place { _held: Some(Box::new((listener, waiting))), ..Place::at(format!("http://{address}")) }
}

fn https(serve: fn(TcpStream)) -> Place {
    Place::at(format!("https://{}", listen(serve)))
}

/// Closes so that the other side sees a reset: with something unread.
fn reset(mut stream: TcpStream) {
    let _ = stream.read(&mut [0]);
}

fn hold(mut stream: TcpStream) {
    wait_for_the_end(&mut stream);
}

fn hold_tls(mut stream: tls::TlsStream) {
    let _ = stream.read_to_end(&mut Vec::new());
}

fn wait_for_the_end(stream: &mut TcpStream) {
    let _ = stream.read_to_end(&mut Vec::new());
}

/// A proxy that does what the name of the host says.
fn proxy() -> String {
    format!("http://{}", listen(serve_proxy))
}

fn serve_proxy(mut stream: TcpStream) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        match stream.read(&mut byte) {
            Ok(1) => head.push(byte[0]),
            _ => return,
        }
    }
    let head = String::from_utf8(head).unwrap();
    let host = head.strip_prefix("CONNECT ").unwrap().split(['.', ':']).next().unwrap();
    let status = match host {
        "p407" => "407 Proxy Authentication Required",
        "p502" => "502 Bad Gateway",
        "closes" => return,
        "silent" => return hold(stream),
        _ => "200 OK",
    };
    write!(stream, "HTTP/1.1 {status}\r\n\r\n").unwrap();
    match host {
        "plain" => plain(stream),
        "behind" => {
            let mut stream = tls::accept(stream);
            tls::read_head(&mut stream);
        }
        _ => end(stream),
    }
}

/// Ends the connection after the other side's first words: with something unread it would be reset.
fn end(mut stream: TcpStream) {
    let _ = stream.read(&mut [0; 16_384]);
}

/// Responds to a greeting in TLS with HTTP, as a plain port does.
fn plain(mut stream: TcpStream) {
    let _ = stream.read(&mut [0; 16_384]);
    say(&mut stream, "HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n");
    hold(stream);
}

/// Whoever has gone hears nothing, and that is no failure of the test.
fn write(stream: &mut TcpStream, bytes: &[u8]) {
    let _ = stream.write_all(bytes);
}

fn say(stream: &mut TcpStream, text: &str) {
    write(stream, text.as_bytes());
}

/// Where the body begins.
fn body_of(response: &[u8]) -> usize {
    response.windows(4).position(|four| four == b"\r\n\r\n").map_or(0, |at| at + 4)
}

fn with_length(stream: &mut TcpStream, right: &[u8], length: &str) {
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n");
    write(stream, &[head.as_bytes(), &right[body_of(right)..]].concat());
}

/// A byte now and then, until the other side has gone.
fn trickle(stream: &mut TcpStream, start: &str) {
    say(stream, start);
    while stream.write_all(b"a").is_ok() {
        std::thread::sleep(Duration::from_millis(20));
    }
}
