//! Many lanes are threads: a panic on one of them, and a system that has no more of them.

use std::num::{NonZeroU32, NonZeroUsize};
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use upstash_dlq_core::wire::DeletePage;
use upstash_dlq_core::{
    BulkDelete, BulkResume, Driven, Endpoint, Event, Halt, Observer, RetryPolicy, Selection, Token, UnixMillis,
};
use upstash_dlq_emulator::{Config, LOCAL_TOKEN, Server, ServerOptions, Service, sample};
use upstash_dlq_ureq::Client;

const NEWEST: i64 = 1_764_000_000_000;
const RUNS: usize = 6_000;

fn emulator() -> (Server, Endpoint) {
    let mut service = Service::new(Config::default());
    sample::runs(RUNS, 1, NEWEST).into_iter().for_each(|run| service.insert(run));
    let server = Server::start(service, ServerOptions::default()).unwrap();
    let endpoint = endpoint(&server.url());
    (server, endpoint)
}

fn endpoint(url: &str) -> Endpoint {
    Endpoint::new(url, Token::new(LOCAL_TOKEN).unwrap()).unwrap()
}

fn delete(endpoint: &Endpoint, lanes: usize) -> BulkDelete {
    at_a_rate(endpoint, lanes, None)
}

fn at_a_rate(endpoint: &Endpoint, lanes: usize, rate: Option<u32>) -> BulkDelete {
    let page_size = NonZeroU32::new(20).unwrap();
    let builder = BulkDelete::builder(endpoint.clone(), Selection::Everything).page_size(page_size);
    builder
        .lanes(NonZeroUsize::new(lanes).unwrap(), UnixMillis::new(NEWEST + 1))
        .max_requests_per_second(rate.and_then(NonZeroU32::new))
        .build()
}

/// Whatever hangs fails.
fn in_time<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, result) = std::sync::mpsc::channel();
    std::thread::spawn(move || done.send(work()));
    result.recv_timeout(Duration::from_secs(60)).expect("it hangs")
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Hook {
    BeforeSend,
    After,
    Waiting,
    Nowhere,
}

/// Panics in one of its hooks once so many requests are out, and counts what it is called for afterwards.
struct Panicking {
    hook: Hook,
    sent: usize,
    panicked: bool,
    afterwards: usize,
}

impl Panicking {
    fn at(&mut self, hook: Hook) -> ControlFlow<()> {
        self.afterwards += usize::from(self.panicked);
        if self.hook == hook && self.sent >= 12 && !self.panicked {
            self.panicked = true;
            panic!("disk full");
        }
        ControlFlow::Continue(())
    }
}

impl Observer<BulkDelete> for Panicking {
    fn before_send(&mut self, _: &BulkDelete) -> ControlFlow<()> {
        let go_on = self.at(Hook::BeforeSend);
        self.sent += 1;
        go_on
    }

    fn on_event(&mut self, _: &mut BulkDelete, _: &Event<DeletePage>) -> ControlFlow<()> {
        self.at(Hook::After)
    }

    fn while_waiting(&mut self) -> ControlFlow<()> {
        self.at(Hook::Waiting)
    }
}

/// Each lane gets a thread, and each thread a connection, as soon as there is work for it.
#[test]
fn as_many_threads_work_as_there_are_lanes() {
    let mut service = Service::new(Config::default());
    sample::runs(RUNS, 1, NEWEST).into_iter().for_each(|run| service.insert(run));
    let options = ServerOptions::default().latency(Duration::from_millis(10));
    let server = Server::start(service, options).unwrap();
    let endpoint = endpoint(&server.url());
    let driven = Client::new(endpoint.clone()).unwrap().run(&mut delete(&endpoint, 8), &mut ());
    assert!(matches!(driven, Driven::Done(outcome) if outcome.verified && outcome.totals.affected == RUNS as u64));
    assert_eq!(server.connections(), 8);
}

#[test]
fn a_panic_of_the_observer_stops_all_lanes_and_reaches_the_caller() {
    for hook in [Hook::BeforeSend, Hook::After, Hook::Waiting] {
        in_time(move || {
            let (server, endpoint) = emulator();
            let client = Client::new(endpoint.clone()).unwrap();
            let mut delete = delete(&endpoint, 8);
            if hook == Hook::Waiting {
                delete = at_a_rate(&endpoint, 8, Some(25));
            }
            let mut observer = Panicking { hook, sent: 0, panicked: false, afterwards: 0 };
            let driven = catch_unwind(AssertUnwindSafe(|| client.run(&mut delete, &mut observer)));
            let panic = driven.expect_err("it was passed on");
            assert_eq!(panic.downcast_ref::<&str>(), Some(&"disk full"), "{hook:?}");
            assert_eq!(observer.afterwards, 0, "{hook:?}: the observer was called after its panic");
            // What was out came to its end, and was counted.
            let (sent, deleted) = server.with_service(|s| (s.requests_total(), s.deleted_total()));
            assert_eq!(sent, observer.sent as u64, "{hook:?}: more was sent");
            let totals = delete.totals();
            assert_eq!((totals.affected, totals.requests, totals.unconfirmed), (deleted, sent, 0), "{hook:?}");
            // And the delete can be driven on.
            if hook != Hook::Waiting {
                let driven = client.run(&mut delete, &mut |_: &BulkDelete, _: &Event<DeletePage>| ());
                assert!(matches!(driven, Driven::Done(outcome) if outcome.verified && outcome.totals.unconfirmed == 0));
            }
        });
    }
}

#[test]
fn a_panic_while_sending_stops_all_lanes_and_reaches_the_caller() {
    in_time(|| {
        let (server, endpoint) = emulator();
        let requests = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&requests);
        let config = ureq::Agent::config_builder().middleware(
            move |request: http::Request<ureq::SendBody<'_>>, next: ureq::middleware::MiddlewareNext<'_>| {
                if counted.fetch_add(1, Ordering::SeqCst) == 12 {
                    // Without the hook, which can take its time to print, and others send meanwhile.
                    resume_unwind(Box::new("a middleware's own fault"));
                }
                next.handle(request)
            },
        );
        let client = Client::builder(endpoint.clone()).agent(config.build().into()).build().unwrap();
        let mut delete = delete(&endpoint, 8);
        let mut observer = Panicking { hook: Hook::Nowhere, sent: 0, panicked: false, afterwards: 0 };
        let driven = catch_unwind(AssertUnwindSafe(|| client.run(&mut delete, &mut observer)));
        let panic = driven.expect_err("it was passed on");
        assert_eq!(panic.downcast_ref::<&str>(), Some(&"a middleware's own fault"));
        // Nobody holds the lanes while a request is under way: those that were about to take one may have.
        let sent = server.with_service(|s| s.requests_total());
        assert!(sent < 12 + 2 * 8, "{sent}");
        // The request that panicked is one whose fate is not known.
        assert_eq!((delete.totals().unconfirmed, delete.totals().requests), (1, sent + 1));
    });
}

/// Counts how often it is asked whether to go on.
struct Asked(u32);

impl Observer<BulkDelete> for Asked {
    fn while_waiting(&mut self) -> ControlFlow<()> {
        self.0 += 1;
        ControlFlow::Continue(())
    }
}

#[test]
fn a_response_wakes_no_more_threads_than_have_something_to_do() {
    let (_server, endpoint) = emulator();
    let mut asked = Asked(0);
    let begun = Instant::now();
    // Most of the lanes rest most of the time.
    let mut delete = at_a_rate(&endpoint, 64, Some(400));
    let driven = Client::new(endpoint).unwrap().run(&mut delete, &mut asked);
    let Driven::Done(outcome) = driven else { panic!("stopped") };
    assert!(outcome.verified && outcome.totals.affected == RUNS as u64, "{outcome:?}");
    // Whoever rests until a request may be sent is one, and asks once; and ten times a second besides.
    let most = 2 * outcome.totals.requests + 20 * (begun.elapsed().as_secs() + 1);
    assert!(u64::from(asked.0) <= most, "asked {} times, {most} would do", asked.0);
}

#[cfg(unix)]
const CHILD: &str = "UPSTASH_DLQ_TEST_SERVER";

/// A process of its own, for a user of its own where we may choose: root has no limit.
#[cfg(unix)]
fn without_threads(exe: &std::path::Path, most: u32) -> Option<std::process::Command> {
    use std::process::Command;
    let is_root = std::fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0);
    let mut command = if is_root {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=54321", "--regid=54321", "--clear-groups", "prlimit"]);
        command
    } else {
        Command::new("prlimit")
    };
    command.arg(format!("--nproc={most}"));
    let runs = Command::new(command.get_program()).args(command.get_args()).arg("true").output();
    if !runs.is_ok_and(|output| output.status.success()) {
        return None;
    }
    command.arg(exe);
    Some(command)
}

#[cfg(unix)]
#[test]
fn without_further_threads_fewer_threads_serve_all_lanes() {
    if let Ok(url) = std::env::var(CHILD) {
        assert!(std::thread::Builder::new().spawn(|| ()).is_err(), "there are threads after all");
        let endpoint = endpoint(&url);
        let mut delete = delete(&endpoint, 8);
        let client = Client::new(endpoint).unwrap();
        let driven = client.run(&mut delete, &mut |_: &BulkDelete, _: &Event<DeletePage>| ());
        let Driven::Done(outcome) = driven else { panic!("stopped") };
        assert!(outcome.verified && outcome.totals.affected == RUNS as u64, "{outcome:?}");
        // A name needs a thread to be looked up. Without one, nothing is sent, and that is known.
        let named = self::endpoint(&url.replace("127.0.0.1", "localhost"));
        let resume = BulkResume::builder(named.clone(), Selection::Everything);
        let mut resume = resume.retry(RetryPolicy::new().max_attempts(NonZeroU32::MIN), 1).build();
        let client = Client::new(named).unwrap();
        let driven = client.run(&mut resume, &mut |_: &BulkResume, _: &Event<_>| ());
        let Driven::Done(outcome) = driven else { panic!("stopped") };
        assert!(matches!(outcome.halted, Some(Halt::GaveUp { .. })), "{outcome:?}");
        assert_eq!((outcome.totals.affected, outcome.totals.unconfirmed), (0, 0), "{outcome:?}");
        return;
    }
    // Where other users may run it.
    let exe = std::env::temp_dir().join(format!("upstash-dlq-threads-{}", std::process::id()));
    std::fs::copy(std::env::current_exe().unwrap(), &exe).unwrap();
    let Some(mut command) = without_threads(&exe, 1) else {
        let _ = std::fs::remove_file(&exe);
        eprintln!("left out: needs setpriv and prlimit (util-linux) to take a process's threads away");
        return;
    };
    let (server, _) = emulator();
    // The test harness itself does without a thread where it gets none.
    command.args(["--exact", "threads::without_further_threads_fewer_threads_serve_all_lanes", "--test-threads=1"]);
    let output = command.env(CHILD, server.url()).current_dir("/").output();
    let _ = std::fs::remove_file(&exe);
    let output = output.unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
    assert_eq!(server.with_service(|s| s.len()), 0);
}
