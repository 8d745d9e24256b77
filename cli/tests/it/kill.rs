//! SIGKILL at any moment, for each operation that goes on: whatever was lost with the process, the next one goes on from its
//! files, and all promises hold after each death and at the end.
//!
//! Fifty kills for most; `DLQ_KILLS=500` makes it five hundred for each. `--nocapture` shows what they hit.
#![cfg(unix)]

use http::Request;
use rustix::process::Signal;
use std::collections::BTreeMap;
use std::process::Stdio;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use crate::common::text;
use crate::draw::Draw;
use crate::operations::{OPERATIONS, Operation};
use crate::scene::{Archived, Scene, Server, Settled, command_of, in_doubt};
use crate::world::Moment;

/// How many deaths a service sees, before the command comes to its end there. The next ones see another.
const EACH: u32 = 10;
/// How many services at a time: their commands wait for each response.
const AT_ONCE: usize = 3;
/// As many as the command opens by default; each can lose a request.
const LANES: u64 = 4;
const MOMENTS: [(Moment, &str); 3] = [
    (Moment::Arrived, "before it was carried out"),
    (Moment::CarriedOut, "before its response"),
    (Moment::Answered, "after its response"),
];

/// When the next process dies.
#[derive(Clone, Copy, Debug)]
struct Plan {
    /// With which of its requests.
    request: usize,
    /// Whether each of them counts, or only those that change something.
    any: bool,
    moment: usize,
    /// And how many times round a loop later, in which the process goes on.
    spins: usize,
}

fn plans(seed: u32, requests: usize) -> impl Iterator<Item = Plan> {
    let mut draw = Draw::new(seed);
    (0..EACH).map(move |_| Plan {
        request: 1 + draw.below(requests),
        any: draw.below(5) == 0,
        moment: draw.below(3),
        spins: draw.below(400),
    })
}

/// What the kills hit: the method of the request, and when.
type Hits = BTreeMap<String, u32>;

fn strike(
    server: &Server,
    plan: &Mutex<Option<Plan>>,
    hits: &Mutex<Hits>,
    moment: Moment,
    request: &Request<Vec<u8>>,
    meets: &str,
) {
    let mut plan = plan.lock().unwrap();
    let Some(now) = *plan else { return };
    if !now.any && request.method() != meets {
        return;
    }
    let met = server.met.fetch_add(usize::from(moment == Moment::Arrived), Ordering::SeqCst);
    let met = met + usize::from(moment == Moment::Arrived);
    let (when, name) = MOMENTS[now.moment];
    if met < now.request || when != moment {
        return;
    }
    *plan = None;
    for _ in 0..now.spins {
        std::thread::yield_now();
    }
    if !server.signal(Signal::KILL) {
        return;
    }
    *hits.lock().unwrap().entry(format!("{} {name}", request.method())).or_default() += 1;
}

/// Some deaths, and the end. Returns how often something had to be settled.
fn die(operation: &'static Operation, seed: u32, hits: &Arc<Mutex<Hits>>) -> u32 {
    let plan = Arc::new(Mutex::new(None));
    let (of_server, hit) = (Arc::clone(&plan), Arc::clone(hits));
    let scene = Scene::new(operation, operation.for_ten_kills, move |server, moment, request| {
        strike(server, &of_server, &hit, moment, request, operation.meets);
        None
    });
    scene.server.armed.store(true, Ordering::SeqCst);
    let again = || command_of(&scene.world.url(), &scene.args());
    let (mut settled, mut archived, mut settlements) = (Settled::default(), Archived::default(), 0);
    for next in plans(
        seed,
        match operation.asks {
            0..=10 => 9,
            11..=50 => 3,
            _ => 2,
        },
    ) {
        *plan.lock().unwrap() = Some(next);
        let mut output = scene.run(again());
        while output.status.code().is_some() {
            assert!(in_doubt(&output), "it ended by itself, {next:?}: {}", text(&output.stderr));
            let settlement = scene.settlement(&mut settled, &output).unwrap();
            settlements += 1;
            output = scene.run({
                let mut command = again();
                command.args(["--settle", settlement]).stdout(Stdio::piped());
                command
            });
        }
        scene.check();
        scene.check_archive(&mut archived);
        // Whole at any moment; absent only before the first request.
        if let Ok(saved) = std::fs::read(scene.path("position")) {
            serde_json::from_slice::<serde_json::Value>(&saved).unwrap();
        }
    }
    let output = scene.run(again());
    let output = if in_doubt(&output) { scene.go_on(&mut settled, output) } else { output };
    scene.check_end(&output, Some(&mut archived));
    let unconfirmed = crate::scene::report(&output)["unconfirmed"].as_u64().unwrap();
    assert!(unconfirmed <= LANES * u64::from(EACH), "{unconfirmed}");
    settlements
}

fn survives(name: &str) {
    let operation = OPERATIONS.iter().find(|operation| operation.name == name).unwrap();
    let kills = std::env::var("DLQ_KILLS").map_or(operation.kills, |kills| kills.parse().unwrap());
    let (hits, start) = (Arc::default(), Instant::now());
    let seeds: Vec<u32> = (0..kills.div_ceil(EACH)).collect();
    let at_once = |seeds: &[u32]| -> u32 {
        std::thread::scope(|scope| {
            let one = |seed: &u32| {
                let (seed, hits) = (*seed, &hits);
                scope.spawn(move || die(operation, seed, hits))
            };
            let threads: Vec<_> = seeds.iter().map(one).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        })
    };
    let settlements: u32 = seeds.chunks(AT_ONCE).map(at_once).sum();
    let hits = hits.lock().unwrap();
    eprintln!(
        "{name}: {} kills in {:.1} s, {settlements} settlements: {hits:?}",
        hits.values().sum::<u32>(),
        start.elapsed().as_secs_f64()
    );
}

/// Each that is killed has its test, so that they run at once.
macro_rules! killed {
    ($($test:ident: $name:literal,)*) => {
        $(#[test] fn $test() { survives($name); })*

        #[test]
        fn each_operation_has_a_test_that_kills_it() {
            let named: Vec<&str> = OPERATIONS.iter().filter(|one| one.for_ten_kills > 0).map(|one| one.name).collect();
            assert_eq!(named, [$($name),*]);
        }
    };
}

killed! {
    delete_by_filter: "delete by filter",
    delete_by_ids: "delete by ids",
    delete_by_a_refinement: "delete by a refinement",
    archived_delete: "archived delete",
    archived_delete_of_ids: "archived delete of ids",
    resume_by_filter: "resume by filter",
    restart_on_lanes: "restart on lanes",
    resume_by_ids: "resume by ids",
}
