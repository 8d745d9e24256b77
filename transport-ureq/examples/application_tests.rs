//! How an application tests its own code: against the emulator, which misbehaves by a script and knows what was really done, and
//! without a server, with outcomes made by hand. The functions after `main` would be `#[test]`s.

use std::error::Error;
use upstash_dlq_emulator::{Config, Fault, FaultPlan, LOCAL_TOKEN, Server, ServerOptions, Service, sample};
use upstash_dlq_ureq::Client;
use upstash_dlq_ureq::core::{Endpoint, Filter, Halt, Outcome, Selection, Token, Totals};

/// The application: resumes the runs with a label.
fn resume_labelled(client: &Client, label: &str) -> Result<Outcome, Box<dyn Error>> {
    let filter = Filter::builder().label(label).build()?;
    Ok(client.resume(Selection::Filter(filter)).run())
}

/// The application: what it tells its operators.
fn report(outcome: &Outcome) -> String {
    match &outcome.halted {
        None => format!("{} runs resumed", outcome.totals.affected),
        Some(halt) if halt.is_retryable() => "will try again later".to_owned(),
        Some(halt) => format!("somebody must look: {halt}"),
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    an_overloaded_server_is_asked_again()?;
    a_lost_response_is_for_people()?;
    a_stop_is_tried_again();
    Ok(())
}

fn serve(faults: Vec<Option<Fault>>) -> Result<(Server, Client), Box<dyn Error>> {
    let mut service = Service::new(Config::default().faults(FaultPlan::script(faults)));
    service.extend(sample::runs(250, 1, 1_764_000_000_000));
    let server = Server::start(service, ServerOptions::default())?;
    let client = Client::new(Endpoint::new(&server.url(), Token::new(LOCAL_TOKEN)?)?)?;
    Ok((server, client))
}

fn an_overloaded_server_is_asked_again() -> Result<(), Box<dyn Error>> {
    let (server, client) = serve(vec![Some(Fault::TooManyRequests { retry_after_s: Some(0) })])?;
    let outcome = resume_labelled(&client, "nightly")?;
    let started = server.with_service(|service| service.started().count());
    assert_eq!(report(&outcome), format!("{started} runs resumed"));
    assert!(server.with_service(|service| service.log().all(|request| request.target.contains("label=nightly"))));
    Ok(())
}

fn a_lost_response_is_for_people() -> Result<(), Box<dyn Error>> {
    let (server, client) = serve(vec![Some(Fault::LostResponse)])?;
    assert!(report(&resume_labelled(&client, "nightly")?).starts_with("somebody must look"));
    assert_eq!(server.with_service(|service| service.requests_total()), 1, "nothing is started twice");
    Ok(())
}

fn a_stop_is_tried_again() {
    assert_eq!(report(&Outcome::halted(Totals::default(), Halt::Stopped)), "will try again later");
}
