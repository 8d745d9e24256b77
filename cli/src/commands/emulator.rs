//! `upstash-dlq emulator`: a DLQ on this machine.

use crate::cli::Emulator;
use crate::context::Context;
use crate::exit::{CommandError, ExitStatus};
use crate::output::terminal::{Lost, print_line};
use crate::output::text::shown;
use std::fs::File;
use std::io::BufReader;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use upstash_dlq_core::model::Escaped;
use upstash_dlq_emulator::{Config, FaultPlan, LOCAL_TOKEN, Run, Server, ServerOptions, Service, sample};

pub(crate) fn run(context: &Context<'_>, args: &Emulator) -> Result<ExitStatus, CommandError> {
    let service = service(context, args).map_err(CommandError::usage)?;
    let options = ServerOptions::default().addr(args.listen).latency(args.latency);
    let server = Server::start(service, options).map_err(|error| {
        let sentence = format!("--listen: cannot listen on {}: {error}; give another address", args.listen);
        CommandError::new("listen", sentence)
    })?;
    let url = server.url();
    if !args.listen.ip().is_loopback() {
        context.terminal.note(&format!(
            "warning: {url} can be reached from other machines: anyone who knows the token can read and delete its runs"
        ));
    }
    // For a shell's eval. A token that was given is not repeated.
    let token = if args.token.is_none() { format!(" QSTASH_TOKEN={LOCAL_TOKEN}") } else { String::new() };
    let here = from_here(server.addr());
    // A region that is set would lead past the emulator.
    match print_line(&format!("listening on {url}\nexport QSTASH_URL=http://{here}{token} QSTASH_REGION=")) {
        // It serves even if nobody reads the address.
        Ok(()) | Err(Lost::NoReader) => server.wait(),
        Err(lost @ Lost::Unwritable(_)) => return Err(lost.into()),
    }
    Ok(ExitStatus::Success)
}

/// The service with its first runs.
fn service(context: &Context<'_>, args: &Emulator) -> Result<Service, String> {
    let faults = FaultPlan::profile(&args.fault, args.seed).ok_or("--fault: unknown profile; see --help")?;
    let loaded = args.load.as_deref().map(load).transpose()?.unwrap_or_default();
    if args.token.as_ref().is_some_and(|token| token.trim().is_empty()) {
        return Err("--token: is empty: give a token, or leave it out to use the public one".into());
    }
    let token = args.token.clone().unwrap_or_else(|| LOCAL_TOKEN.to_owned());
    let mut service = Service::new(Config::default().token(token).faults(faults));
    let runs = args.runs.unwrap_or(if args.load.is_some() { 0 } else { 1_000 });
    let runs = usize::try_from(runs).unwrap_or(usize::MAX);
    let samples = sample::runs(runs, args.seed, context.now.millis().get()).into_iter();
    let body_len = args.body_kb.map(|kilobytes| usize::try_from(kilobytes).unwrap_or(usize::MAX).saturating_mul(1_000));
    samples.for_each(|run| {
        service.insert(match body_len {
            Some(len) => run.with_body_len(len),
            None => run,
        });
    });
    loaded.into_iter().for_each(|run| service.insert(run));
    Ok(service)
}

/// The address for a client on this machine: no client can connect to "every address".
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
