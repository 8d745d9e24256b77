//! What is left of a request whose future is dropped: the operation counts it.

use futures_util::{FutureExt, StreamExt};
use std::future::Future;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::num::NonZeroUsize;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;
use upstash_dlq_core::client::{AsyncCheckpointStore, StoreResult};
use upstash_dlq_core::operation::{Bulk, InDoubt};
use upstash_dlq_core::wire::{DeletePage, List, ListPage, Resume, StartedPage};
use upstash_dlq_core::{
    BulkDelete, BulkResume, Checkpoint, DlqId, DlqMessage, Driven, Endpoint, Event, Halt, Listing, Selection,
    Settlement, Token, UnixMillis,
};
use upstash_dlq_reqwest::Client;

/// Carries each request out as it comes, and holds its response back until the test lets go of it.
#[derive(Clone)]
struct Held {
    addr: SocketAddr,
    state: Arc<(Mutex<State>, Condvar)>,
}

struct State {
    heard: Vec<String>,
    let_go: usize,
}

impl Held {
    /// The last of the bodies is given again and again.
    fn start(bodies: &'static [&'static str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let state = Arc::new((Mutex::new(State { heard: Vec::new(), let_go: 0 }), Condvar::new()));
        let held = Self { addr: listener.local_addr().unwrap(), state };
        let server = held.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let server = server.clone();
                std::thread::spawn(move || server.serve(stream.unwrap(), bodies));
            }
        });
        held
    }

    fn serve(&self, mut stream: TcpStream, bodies: &[&str]) {
        let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
        let (state, changed) = &*self.state;
        while let Some(Ok(line)) = lines.next() {
            while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
            let mut locked = state.lock().unwrap();
            let at = locked.heard.len();
            locked.heard.push(line);
            changed.notify_all();
            drop(changed.wait_while(locked, |state| state.let_go <= at).unwrap());
            let body = bodies[at.min(bodies.len() - 1)];
            // Whoever asked may have gone.
            let _ = write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        }
    }

    fn let_go(&self, upto: usize) {
        self.state.0.lock().unwrap().let_go = upto;
        self.state.1.notify_all();
    }

    fn heard(&self) -> Vec<String> {
        self.state.0.lock().unwrap().heard.clone()
    }

    /// Until so many requests have come.
    async fn hears(&self, count: usize) {
        let state = Arc::clone(&self.state);
        let waits = move || {
            let locked = state.0.lock().unwrap();
            let heard = state.1.wait_timeout_while(locked, Duration::from_secs(60), |s| s.heard.len() < count);
            assert!(!heard.unwrap().1.timed_out(), "the requests never came");
        };
        tokio::task::spawn_blocking(waits).await.unwrap();
    }

    fn client(&self) -> (Client, Endpoint) {
        let endpoint = Endpoint::new(&format!("http://{}", self.addr), Token::new("t").unwrap()).unwrap();
        (Client::new(endpoint.clone()).unwrap(), endpoint)
    }
}

fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

const STARTED: &[&str] = &[
    r#"{"workflowRuns":[{"workflowRunId":"w1","workflowCreatedAt":1}],"cursor":"c1"}"#,
    r#"{"workflowRuns":[{"workflowRunId":"w2","workflowCreatedAt":1}],"cursor":"c2"}"#,
    r#"{"workflowRuns":[],"cursor":""}"#,
];

const DELETED: &[&str] = &[r#"{"deleted":100,"cursor":"c"}"#, r#"{"deleted":0}"#];

fn is_send<T: Send>(_: &T) {}

fn unseen<M, P>(_: &M, _: &Event<P>) {}

#[test]
fn a_timeout_around_run_leaves_an_operation_that_counts_the_request() {
    let held = Held::start(DELETED);
    let (client, endpoint) = held.client();
    let mut bulk = BulkDelete::builder(endpoint, Selection::Everything).build();
    let mut observer = unseen::<BulkDelete, DeletePage>;
    block_on(async {
        let run = client.run(&mut bulk, &mut observer);
        assert!(tokio::time::timeout(Duration::from_millis(100), run).await.is_err());
        assert_eq!((bulk.totals().unconfirmed, bulk.totals().requests), (1, 1));
        held.let_go(usize::MAX);
        let Driven::Done(outcome) = client.run(&mut bulk, &mut observer).await else { panic!() };
        assert!(outcome.verified && outcome.halted.is_none() && outcome.totals.unconfirmed == 1, "{outcome:?}");
    });
}

/// A stream of a resume whose second request is out and carried out, its response on its way.
async fn with_a_request_out(held: &Held) -> upstash_dlq_reqwest::Pages<'static, Bulk<Resume>> {
    held.let_go(1);
    let mut pages = held.client().0.resume(Selection::Everything).pages();
    assert_eq!(pages.next().await.unwrap().unwrap().started.len(), 1);
    assert_eq!(pages.operation().totals().unconfirmed, 0);
    is_send(&pages);
    tokio::select! {
        page = pages.next() => panic!("{page:?}"),
        () = held.hears(2) => {}
    }
    let totals = pages.operation().totals();
    assert_eq!((totals.affected, totals.unconfirmed, totals.requests), (1, 1, 2));
    pages
}

/// Goes on, which sends nothing before somebody has looked; afterwards it does.
async fn starts_nothing_twice(held: &Held, bulk: &mut Bulk<Resume>) {
    held.let_go(usize::MAX);
    let client = held.client().0;
    let Driven::Done(outcome) = client.run(bulk, &mut unseen::<Bulk<Resume>, StartedPage>).await else { panic!() };
    assert!(matches!(outcome.halted, Some(Halt::InDoubt { asked: 50, .. })), "{outcome:?}");
    assert_eq!((outcome.totals.unconfirmed, held.heard().len()), (1, 2));
    assert!(matches!(bulk.in_doubt(), Some(InDoubt::Listing(_))));
    bulk.settle(Settlement::Applied).unwrap();
    let Driven::Done(outcome) = client.run(bulk, &mut unseen::<Bulk<Resume>, StartedPage>).await else { panic!() };
    assert!(outcome.halted.is_none() && outcome.totals.unconfirmed == 1, "{outcome:?}");
    assert_eq!(held.heard().len(), 3);
}

#[test]
fn a_stream_lends_its_operation_while_a_request_is_in_flight() {
    block_on(async {
        let held = Held::start(STARTED);
        let mut bulk = with_a_request_out(&held).await.into_operation();
        assert_eq!(bulk.totals().unconfirmed, 1);
        starts_nothing_twice(&held, &mut bulk).await;
    });
}

#[test]
fn a_checkpoint_taken_while_a_request_is_in_flight_starts_nothing_twice() {
    block_on(async {
        let held = Held::start(STARTED);
        let pages = with_a_request_out(&held).await;
        let saved = pages.operation().checkpoint().to_json();
        drop(pages);
        let checkpoint = Checkpoint::from_json(saved.as_bytes()).unwrap();
        let builder = BulkResume::builder(held.client().1, Selection::Everything);
        let mut bulk = builder.resume_from(checkpoint).unwrap();
        starts_nothing_twice(&held, &mut bulk).await;
    });
}

#[test]
fn a_stream_that_is_polled_on_has_lost_nothing() {
    block_on(async {
        let held = Held::start(STARTED);
        let mut pages = with_a_request_out(&held).await;
        held.let_go(usize::MAX);
        let rest: Vec<usize> = (&mut pages).map(|page| page.unwrap().started.len()).collect().await;
        assert_eq!((rest, pages.operation().totals().unconfirmed), (vec![1, 0], 0));
        let bulk = pages.into_operation();
        assert_eq!((bulk.totals().affected, bulk.totals().unconfirmed, held.heard().len()), (2, 0, 3));
    });
}

#[test]
fn many_lanes_that_are_dropped_count_every_request_in_flight() {
    let held = Held::start(DELETED);
    held.let_go(1);
    let (client, endpoint) = held.client();
    let lanes = NonZeroUsize::new(4).unwrap();
    let builder = BulkDelete::builder(endpoint, Selection::Everything);
    let mut operation = builder.lanes(lanes, UnixMillis::new(1_764_000_000_000)).build();
    block_on(async {
        let mut observer = unseen::<BulkDelete, DeletePage>;
        tokio::select! {
            _ = client.run(&mut operation, &mut observer) => panic!("it ended"),
            () = held.hears(5) => {}
        }
        assert_eq!((operation.totals().unconfirmed, operation.totals().requests), (4, 5));
        held.let_go(usize::MAX);
        let Driven::Done(outcome) = client.run(&mut operation, &mut observer).await else { panic!() };
        assert!(outcome.verified && outcome.totals.unconfirmed == 4 && outcome.totals.affected == 100, "{outcome:?}");
    });
}

#[test]
fn a_listing_goes_on_where_its_stream_stood() {
    let held =
        Held::start(&[r#"{"messages":[{"dlqId":"a"}],"cursor":"c"}"#, r#"{"messages":[{"dlqId":"b"}],"cursor":""}"#]);
    held.let_go(usize::MAX);
    let client = held.client().0;
    block_on(async {
        let mut items = client.list(List::everything()).items();
        assert_eq!(items.next().await.unwrap().unwrap().dlq_id(), Some(DlqId::new("a").unwrap()));
        let mut listing: Listing = items.into_operation();
        let mut rest = Vec::new();
        let driven = client
            .run(&mut listing, &mut |_: &Listing, event: &Event<ListPage>| {
                if let Event::Page(page) = event {
                    rest.extend(page.messages.iter().filter_map(DlqMessage::dlq_id));
                }
            })
            .await;
        let Driven::Done(outcome) = driven else { panic!() };
        assert_eq!((outcome.halted, rest), (None, vec![DlqId::new("b").unwrap()]));
    });
}

/// Saves nothing before the requests that were saved earlier have reached the server.
struct AfterTheOthers(Held, usize);

impl AsyncCheckpointStore for AfterTheOthers {
    async fn save(&mut self, _: Checkpoint) -> StoreResult {
        self.0.hears(self.1).await;
        self.1 += 1;
        Ok(())
    }
}

#[test]
fn requests_in_flight_go_on_while_a_store_is_awaited() {
    let held = Held::start(DELETED);
    held.let_go(1);
    let delete = held.client().0.delete(Selection::Everything).lanes(4).checkpoint(AfterTheOthers(held.clone(), 0));
    block_on(async {
        let run = tokio::spawn(delete.run());
        held.hears(5).await;
        held.let_go(usize::MAX);
        let outcome = run.await.unwrap().into_result().unwrap();
        assert!(outcome.verified && outcome.totals.affected == 100, "{outcome:?}");
    });
}

#[test]
fn what_is_in_flight_finishes_after_a_stop() {
    let held = Held::start(DELETED);
    held.let_go(1);
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let delete = held.client().0.delete(Selection::Everything).lanes(4).stop_when(stopped.map(|_| ()));
    block_on(async {
        let run = tokio::spawn(delete.run());
        held.hears(5).await;
        stop.send(()).unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(!run.is_finished());
        held.let_go(usize::MAX);
        let outcome = run.await.unwrap();
        assert_eq!((outcome.halted, outcome.totals.unconfirmed), (Some(Halt::Stopped), 0));
        assert_eq!((outcome.totals.requests, held.heard().len()), (5, 5));
    });
}
