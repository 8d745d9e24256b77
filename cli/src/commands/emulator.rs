//! `upstash-dlq emulator`: a DLQ on this machine.

use crate::bulk::private_file::shown;
use crate::cli::{Emulator, Global};
use crate::input::time::Age;
use crate::output::failure::{self, Failure};
use crate::output::terminal::{Lost, Terminal, print_line};
use std::fs::File;
use std::io::BufReader;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::process::ExitCode;
use upstash_dlq_core::Escaped;
use upstash_dlq_emulator::{Config, FaultPlan, LOCAL_TOKEN, Run, Server, ServerOptions, Service, sample};

pub(crate) fn run(global: &Global, args: &Emulator) -> ExitCode {
    let terminal = Terminal::new(global);
    let Some(faults) = FaultPlan::profile(&args.fault, args.seed) else {
        return Failure::usage("--fault: is not a profile that is known; see --help".into()).tell(terminal);
    };
    let loaded = match args.load.as_deref().map(load).transpose() {
        Ok(loaded) => loaded.unwrap_or_default(),
        Err(sentence) => return Failure::usage(sentence).tell(terminal),
    };
    if args.token.as_ref().is_some_and(|token| token.trim().is_empty()) {
        return Failure::usage("--token: is empty: give one, or leave it out for the public one".into()).tell(terminal);
    }
    let token = args.token.clone().unwrap_or_else(|| LOCAL_TOKEN.to_owned());
    let mut service = Service::new(Config { token, faults, ..Config::default() });
    let runs = args.runs.unwrap_or(if args.load.is_some() { 0 } else { 1_000 });
    let runs = usize::try_from(runs).unwrap_or(usize::MAX);
    sample::runs(runs, args.seed, Age::from_clock().now().get()).into_iter().for_each(|run| service.insert(run));
    loaded.into_iter().for_each(|run| service.insert(run));
    let options = ServerOptions { addr: args.listen, latency: args.latency, ..ServerOptions::default() };
    match Server::start(service, options) {
        Ok(server) => {
            let url = server.url();
            if !args.listen.ip().is_loopback() {
                terminal.note(&format!(
                    "warning: {url} can be reached from other machines: whoever reaches it and knows the token sees and deletes its runs"
                ));
            }
            // For a shell's eval. A token of somebody's own is not repeated.
            let token = if args.token.is_none() { format!(" QSTASH_TOKEN={LOCAL_TOKEN}") } else { String::new() };
            let here = from_here(server.addr());
            let printed = print_line(&format!("listening on {url}\nexport QSTASH_URL=http://{here}{token}"));
            if let Err(lost @ Lost::Unwritable(_)) = printed {
                return failure::lost(terminal, lost, 1);
            }
            server.wait();
            ExitCode::SUCCESS
        }
        Err(error) => {
            let sentence = format!("--listen: cannot listen on {}: {error}; give another address", args.listen);
            Failure::new("listen", sentence).tell(terminal)
        }
    }
}

/// Where a client on this machine reaches it: nobody can connect to "every address".
fn from_here(mut addr: SocketAddr) -> SocketAddr {
    if addr.ip().is_unspecified() {
        addr.set_ip(if addr.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() });
    }
    addr
}

fn load(path: &Path) -> Result<Vec<Run>, String> {
    let file = File::open(path).map_err(|error| format!("--load: {} cannot be read: {error}", shown(path)))?;
    upstash_dlq_emulator::load(BufReader::new(file))
        .map_err(|error| format!("--load: {}, {}", shown(path), Escaped(&error.to_string())))
}
