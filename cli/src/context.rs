//! What every command starts from: the global options, the terminal, the clock, and the client.

use crate::cli::Global;
use crate::drive::{self, Stopped};
use crate::exit::CommandError;
use crate::input::endpoint;
use crate::input::time::Now;
use crate::interrupt;
use crate::output::failure;
use crate::output::progress::Progress;
use crate::output::terminal::Terminal;
use crate::output::time::Zone;
use crate::output::trace::Trace;
use std::sync::Arc;
use upstash_dlq_core::client::{MAX_BODY, Transport};
use upstash_dlq_core::wire::Call;
use upstash_dlq_core::{DlqId, Endpoint, RetryPolicy};
use upstash_dlq_ureq::Client;

pub(crate) struct Context<'a> {
    pub(crate) global: &'a Global,
    pub(crate) terminal: Terminal,
    /// When the command started. Ages count back from here.
    pub(crate) now: Now,
}

impl<'a> Context<'a> {
    pub(crate) fn new(global: &'a Global) -> Self {
        let terminal = Terminal::new(global);
        if global.local && terminal.zone() == Zone::Utc {
            terminal.note("--local: the time zone of this machine is not known, so times are in UTC");
        }
        Self { global, terminal, now: Now::from_clock() }
    }

    /// The client for the endpoint that the options and the environment name. From here on Ctrl-C lets requests in flight
    /// finish.
    pub(crate) fn client(&self) -> Result<Client, String> {
        self.client_for(endpoint::endpoint(self.global)?)
    }

    /// The client for a given endpoint.
    pub(crate) fn client_for(&self, endpoint: Endpoint) -> Result<Client, String> {
        let transport = self.transport(&endpoint)?;
        interrupt::install(self.terminal);
        Ok(Client::with_transport(endpoint, transport))
    }

    /// What sends the requests. With `--verbose` it tells each of them.
    pub(crate) fn transport(&self, endpoint: &Endpoint) -> Result<Arc<dyn Transport>, String> {
        let max_message_body = usize::try_from(self.global.max_body).unwrap_or(usize::MAX);
        // No page is larger than the largest message: what is refused alone is not read among others.
        let max_body = MAX_BODY.min(max_message_body);
        let builder = Client::builder(endpoint.clone()).timeout(self.global.timeout);
        let transport = builder.max_body(max_body).max_message_body(max_message_body).build_transport();
        let transport = transport.map_err(|error| error.to_string())?;
        Ok(if self.global.verbose {
            Arc::new(Trace::new(transport, endpoint.clone(), self.terminal))
        } else {
            Arc::new(transport)
        })
    }

    /// Makes one call on the run of this id. Retries get a line each: a call is short, and there is nothing to count.
    pub(crate) fn call<C: Call>(&self, client: &Client, id: &DlqId, call: C) -> Result<C::Output, CommandError> {
        let mut progress = Progress::in_lines(self.terminal, "");
        let (_, result) = drive::call(client, self.policy(), &mut progress, call);
        result.map_err(|stopped| match stopped {
            Stopped::Halted(halt) => failure::of_one(&halt, id, client.endpoint()),
            interrupted @ Stopped::Interrupted => interrupted.into_error(client.endpoint()),
        })
    }

    /// How long a request that was given up may still be on its way, in a sentence.
    pub(crate) fn wait_for_late_requests(&self) -> String {
        format!("Wait {:?}, because a late request may still be carried out", self.global.timeout)
    }

    pub(crate) fn policy(&self) -> RetryPolicy {
        RetryPolicy::default().max_attempts(self.global.max_attempts)
    }
}
