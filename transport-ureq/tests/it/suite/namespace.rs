//! A connection that stands and ends as "refused": the port goes away while a segment is not acknowledged. It takes a network
//! of its own, so root, `unshare`, `ip` and `python3`; where they are not there the test says so and ends.

use super::{CASE, Driver, Setup, case};
use std::io::{BufRead, BufReader};
use std::process::{Command, Output, Stdio};
use upstash_dlq_core::{BulkResume, Delivery, Endpoint, Operation, Selection, Step, Token};

const PEER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../transport-ureq/tests/it/suite/port_unreachable.py");

/// Then runs what it is given. Status 77: there is no network to be had.
const NETWORK: &str = "
    {
        python3 -c '' &&
        ip link set lo up &&
        ip link add name ours type veth peer name theirs &&
        ip link set theirs address 02:00:00:00:00:02 &&
        ip link set theirs up &&
        ip addr add 10.9.9.1/24 dev ours &&
        ip link set ours up &&
        ip neigh replace 10.9.9.2 lladdr 02:00:00:00:00:02 dev ours nud permanent &&
        echo 1 > /proc/sys/net/ipv4/tcp_retries2
    } || exit 77
    exec \"$@\"";

pub(crate) fn a_connection_that_stands_can_be_refused_and_proves_nothing<D: Driver>() {
    if case().is_some() {
        return ask::<D>();
    }
    let mut command = Command::new("unshare");
    command.args(["-n", "sh", "-c", NETWORK, "sh"]).arg(std::env::current_exe().unwrap());
    command.args(["a_connection_that_stands_can_be_refused_and_proves_nothing", "--exact", "--nocapture"]);
    match command.env(CASE, "namespace").output() {
        Ok(Output { status, .. }) if status.success() => {}
        Ok(Output { status, stderr, .. }) if matches!(status.code(), Some(1 | 77)) && !is_failure(&stderr) => {
            eprintln!("left out, there is no network namespace here: {}", String::from_utf8_lossy(&stderr));
        }
        Err(error) => eprintln!("left out, there is no unshare here: {error}"),
        Ok(failed) => panic!("{failed:?}"),
    }
}

/// Whether the test itself began and failed.
fn is_failure(stderr: &[u8]) -> bool {
    String::from_utf8_lossy(stderr).contains("panicked")
}

fn ask<D: Driver>() {
    let mut peer = Command::new("python3").arg(PEER).stdout(Stdio::piped()).spawn().unwrap();
    BufReader::new(peer.stdout.take().unwrap()).read_line(&mut String::new()).unwrap();
    let token = Token::new("t0ken").unwrap();
    let endpoint = Endpoint::builder().allow_plain_http().build("http://10.9.9.2", token).unwrap();
    let mut operation = BulkResume::builder(endpoint.clone(), Selection::Everything).build();
    let Step::Send(_, request) = operation.poll(std::time::Duration::ZERO) else { panic!() };
    let failure = D::send_with(&endpoint, &Setup::default(), request).unwrap_err();
    peer.kill().unwrap();
    peer.wait().unwrap();
    assert!(failure.message.contains("refused"), "not what this test is for: {failure:?}");
    assert_eq!(failure.delivery, Delivery::Unknown, "{failure:?}");
}
