//! The same faults for both transports: a request that starts runs, on a connection that was used before where there is one.

use crate::socket::{AMPLE, Fate, Fault, Limit, Place, SHORT, Way};
use crate::world::{Moment, NOW, World};
use http::{Request, Response};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use upstash_dlq_core::{Delivery, Endpoint, Token, TransportFailure};
use upstash_dlq_emulator::{Config, LOCAL_TOKEN, Service, sample};

type Send = Box<dyn Fn(Request<()>) -> Result<Response<Vec<u8>>, TransportFailure>>;

type Connect = fn(&Fault, &Place) -> Send;

pub(super) const TRANSPORTS: [(&str, Connect); 2] = [("ureq", ureq), ("reqwest", reqwest)];

const LONG: Duration = Duration::from_secs(30);

/// The whole time, and that for connecting.
fn times(limit: Limit) -> (Duration, Duration) {
    match limit {
        Limit::None => (LONG, LONG),
        Limit::Connect => (LONG, SHORT),
        Limit::Whole => (AMPLE, LONG),
    }
}

fn endpoint(url: &str) -> Endpoint {
    Endpoint::builder().allow_plain_http().build(url, Token::new(LOCAL_TOKEN).unwrap()).unwrap()
}

fn ureq(fault: &Fault, place: &Place) -> Send {
    use ureq::tls::{Certificate, RootCerts, TlsConfig};
    let (timeout, connect) = times(fault.limit);
    let proxy = place.proxy.as_ref().map(|proxy| ureq::Proxy::new(proxy).unwrap());
    let roots = RootCerts::new_with_certs(&[Certificate::from_pem(crate::tls::CA.as_bytes()).unwrap()]);
    let trusted = fault.trusting.then(|| TlsConfig::builder().root_certs(roots).build());
    let builder = upstash_dlq_ureq::Client::builder(endpoint(&place.url)).timeout(timeout).connect_timeout(connect);
    let client = builder.configure(|config| match trusted {
        Some(trusted) => config.tls_config(trusted).proxy(proxy),
        None => config.proxy(proxy),
    });
    let client = client.build().unwrap();
    Box::new(move |request| client.send(request))
}

fn reqwest(fault: &Fault, place: &Place) -> Send {
    let (timeout, connect) = times(fault.limit);
    let mut http = reqwest::Client::builder().no_proxy();
    if let Some(proxy) = &place.proxy {
        http = http.proxy(reqwest::Proxy::all(proxy).unwrap());
    }
    // Whoever gets as far as a certificate on this machine trusts what the system trusts. To read that takes a while.
    if fault.trusting || !place.url.starts_with("https://127.") {
        http = http.tls_certs_only([reqwest::Certificate::from_pem(crate::tls::CA.as_bytes()).unwrap()]);
    }
    let builder = upstash_dlq_reqwest::Client::builder(endpoint(&place.url)).timeout(timeout).connect_timeout(connect);
    let client = builder.http(http).build().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    Box::new(move |request| runtime.block_on(client.send(request)))
}

/// What the fault makes of it, and the sentence of the failure.
pub(super) fn meet(fault: &Fault, connect: Connect) -> (&'static str, String) {
    let (place, world) = match &fault.way {
        Way::Elsewhere(start) => (start(), None),
        Way::Service(broken) => {
            let (broken, met) = (*broken, Arc::new(AtomicUsize::new(0)));
            let mut service = Service::new(Config::default());
            service.extend(sample::runs(50, 1, NOW));
            let posts = Arc::clone(&met);
            let world = World::start(service, move |_, moment, request| {
                let meets = moment == Moment::Arrived && request.method() == "POST";
                (meets && posts.fetch_add(1, Ordering::SeqCst) == 0).then_some(broken)
            });
            (Place::at(world.url()), Some((world, broken, met)))
        }
    };
    let send = connect(fault, &place);
    let request = |method: &str, path: &str| {
        let request = Request::builder().method(method).uri(format!("{}/v2/workflows/dlq{path}", place.url));
        request.header("authorization", format!("Bearer {LOCAL_TOKEN}")).body(()).unwrap()
    };
    if world.is_some() {
        assert_eq!(send(request("GET", "?count=1")).unwrap().status(), 200);
    }
    let result = send(request("POST", "/resume?count=10"));
    if let Some((world, broken, met)) = world {
        assert_eq!(met.load(Ordering::SeqCst), 1, "{}: it was sent again", fault.name);
        let started = world.with_service(|service| service.started().count());
        assert_eq!(started, if broken.carried_out { 10 } else { 0 }, "{}", fault.name);
        // What both sides of a socket hold, and the bound.
        assert!(world.poured() < 64 << 20, "{}: {} bytes were taken", fault.name, world.poured());
        // The next request is not hurt, unless nobody listens any more.
        let next = send(request("POST", "/resume?count=10"));
        match next {
            Ok(response) => assert_eq!((world.is_up(), response.status().as_u16()), (true, 200), "{}", fault.name),
            Err(failure) => {
                assert_eq!((world.is_up(), failure.delivery), (false, Delivery::NotSent), "{}: {failure}", fault.name);
            }
        }
        world.down();
    }
    match (result, fault.fate) {
        (Ok(response), Fate::Answered) => ("answered", format!("({})", response.status().as_u16())),
        (Err(failure), Fate::Failed(delivery)) if failure.delivery == delivery => {
            let fate = if delivery == Delivery::NotSent { "not sent" } else { "unknown" };
            (fate, failure.to_string())
        }
        (result, fate) => panic!("{}: {result:?} is not {fate:?}", fault.name),
    }
}
