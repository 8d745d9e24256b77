//! What a client offers, each in one call.

use crate::client::Client;
use crate::prepared::Prepared;
use upstash_dlq_core::operation::{BulkBuilder, GetManyBuilder, ListingBuilder, OperationBuilder, SingleCallBuilder};
use upstash_dlq_core::selection::Ids;
use upstash_dlq_core::wire::{
    Call, CancelCallback, Delete, DeleteOne, GetMessage, List, Overrides, Restart, RestartOne, Resume, ResumeOne,
    RetryCallback, StartedRun,
};
use upstash_dlq_core::{
    BulkDelete, BulkRestart, BulkResume, DlqId, DlqMessage, GetMany, Halt, Listing, Selection, SingleCall,
};

impl Client {
    /// Runs what a builder of the core builds, with all of its settings. The methods below are shorter. Retries are the client's.
    ///
    /// `client.prepare(BulkDelete::builder(endpoint, selection).relative_times(times)).run()`
    pub fn prepare<B: OperationBuilder>(&self, builder: B) -> Prepared<'static, B> {
        Prepared::new(self.clone(), builder)
    }

    /// Deletes the selected runs, page after page. Nothing is sent before [`Prepared::run`].
    ///
    /// ```
    /// # use upstash_dlq_emulator::{Config, LOCAL_TOKEN, Server, ServerOptions, Service, sample};
    /// # use upstash_dlq_ureq::{Client, core::{Endpoint, Token}};
    /// # let mut service = Service::new(Config::default());
    /// # service.extend(sample::runs(250, 1, 1_764_000_000_000));
    /// # let server = Server::start(service, ServerOptions::default())?;
    /// # let client = Client::new(Endpoint::new(&server.url(), Token::new(LOCAL_TOKEN)?)?)?;
    /// use upstash_dlq_ureq::core::{Filter, Selection};
    /// let nightly = Filter::builder().label("nightly").build()?;
    /// let completed = client.delete(Selection::Filter(nightly)).lanes(16).run().into_result()?;
    /// assert!(completed.verified && completed.totals.affected == 74);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn delete(&self, selection: Selection) -> Prepared<'static, BulkBuilder<Delete>> {
        self.prepare(BulkDelete::builder(self.endpoint().clone(), selection))
    }

    /// Resumes the selected runs where they failed, in one pass.
    ///
    /// ```
    /// # use upstash_dlq_emulator::{Config, LOCAL_TOKEN, Server, ServerOptions, Service, sample};
    /// # use upstash_dlq_ureq::{Client, core::{Endpoint, Token}};
    /// # let mut service = Service::new(Config::default());
    /// # service.extend(sample::runs(250, 1, 1_764_000_000_000));
    /// # let server = Server::start(service, ServerOptions::default())?;
    /// # let client = Client::new(Endpoint::new(&server.url(), Token::new(LOCAL_TOKEN)?)?)?;
    /// use upstash_dlq_ureq::core::{Selection, wire::Overrides};
    /// let overrides = Overrides::builder().retries(5).build()?;
    /// let completed = client.resume(Selection::Everything).overrides(overrides).run().into_result()?;
    /// assert_eq!(completed.totals.affected, 250);
    /// assert!(server.with_service(|service| service.started().all(|run| run.overrides["upstash-retries"] == "5")));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn resume(&self, selection: Selection) -> Prepared<'static, BulkBuilder<Resume>> {
        self.prepare(BulkResume::builder(self.endpoint().clone(), selection))
    }

    /// Restarts the selected runs from their beginning, in one pass.
    ///
    /// ```
    /// # use upstash_dlq_emulator::{Config, LOCAL_TOKEN, Server, ServerOptions, Service, sample};
    /// # use upstash_dlq_ureq::{Client, core::{Endpoint, Token}};
    /// # let mut service = Service::new(Config::default());
    /// # service.extend(sample::runs(250, 1, 1_764_000_000_000));
    /// # let server = Server::start(service, ServerOptions::default())?;
    /// # let client = Client::new(Endpoint::new(&server.url(), Token::new(LOCAL_TOKEN)?)?)?;
    /// use upstash_dlq_ureq::core::{Ids, Selection};
    /// let ids = server.with_service(|service| Ids::parse(service.runs().take(3).map(|run| run.dlq_id.clone())))?;
    /// let completed = client.restart(Selection::Ids(ids)).run().into_result()?;
    /// assert!(completed.verified && completed.totals.affected == 3);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn restart(&self, selection: Selection) -> Prepared<'static, BulkBuilder<Restart>> {
        self.prepare(BulkRestart::builder(self.endpoint().clone(), selection))
    }

    /// Lists failed runs, page by page ([`Prepared::pages`]) or one by one ([`Prepared::items`]).
    ///
    /// `for run in client.list(List::everything()).items() { … }`
    pub fn list(&self, list: List) -> Prepared<'static, ListingBuilder> {
        self.prepare(Listing::builder(self.endpoint().clone(), list))
    }

    /// Counts the failed runs that `list` would list. It is a listing whose pages nobody looks at:
    ///
    /// ```
    /// # use upstash_dlq_emulator::{Config, LOCAL_TOKEN, Server, ServerOptions, Service, sample};
    /// # use upstash_dlq_ureq::{Client, core::{Endpoint, Token}};
    /// # let mut service = Service::new(Config::default());
    /// # service.extend(sample::runs(250, 1, 1_764_000_000_000));
    /// # let server = Server::start(service, ServerOptions::default())?;
    /// # let client = Client::new(Endpoint::new(&server.url(), Token::new(LOCAL_TOKEN)?)?)?;
    /// use upstash_dlq_ureq::core::List;
    /// assert_eq!(client.count(List::everything()).run().into_result()?.listed, 250);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn count(&self, list: List) -> Prepared<'static, ListingBuilder> {
        self.list(list)
    }

    /// Fetches many failed runs by their ids, one request for each. A run that is not in the DLQ is no error: its
    /// [`message`](upstash_dlq_core::operation::Fetched) is `None`.
    ///
    /// ```
    /// # use upstash_dlq_emulator::{Config, LOCAL_TOKEN, Server, ServerOptions, Service, sample};
    /// # use upstash_dlq_ureq::{Client, core::{Endpoint, Token}};
    /// # let mut service = Service::new(Config::default());
    /// # service.extend(sample::runs(250, 1, 1_764_000_000_000));
    /// # let server = Server::start(service, ServerOptions::default())?;
    /// # let client = Client::new(Endpoint::new(&server.url(), Token::new(LOCAL_TOKEN)?)?)?;
    /// use upstash_dlq_ureq::core::Ids;
    /// let mut ids = server.with_service(|service| service.runs().take(2).map(|run| run.dlq_id.clone()).collect::<Vec<_>>());
    /// ids.push("nobody".to_owned());
    /// let outcome = client.get_many(Ids::parse(ids)?).lanes(3).run().into_result()?;
    /// assert_eq!((outcome.found, outcome.totals.missing), (2, 1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn get_many(&self, ids: Ids) -> Prepared<'static, GetManyBuilder> {
        self.prepare(GetMany::builder(self.endpoint().clone(), ids))
    }

    /// Makes one call, with settings of your own. With the default settings, the methods below are shorter.
    ///
    /// `client.call(GetMessage(id)).retry(policy).run()?`
    ///
    /// The result is a [`Halt`] if the service refused the call or could not be reached. For a call that must not be repeated,
    /// it is [`Halt::InDoubt`] if it is unknown whether it was carried out.
    pub fn call<C: Call>(&self, call: C) -> Prepared<'static, SingleCallBuilder<C>> {
        self.prepare(SingleCall::builder(self.endpoint().clone(), call))
    }

    /// Fetches one failed run: `client.get(id)?`
    ///
    /// ```
    /// # use upstash_dlq_emulator::{Config, LOCAL_TOKEN, Server, ServerOptions, Service, sample};
    /// # use upstash_dlq_ureq::{Client, core::{Endpoint, Token}};
    /// # let mut service = Service::new(Config::default());
    /// # service.extend(sample::runs(250, 1, 1_764_000_000_000));
    /// # let server = Server::start(service, ServerOptions::default())?;
    /// # let client = Client::new(Endpoint::new(&server.url(), Token::new(LOCAL_TOKEN)?)?)?;
    /// use upstash_dlq_ureq::core::DlqId;
    /// let id = server.with_service(|service| service.runs().next().map(|run| DlqId::new(&run.dlq_id))).unwrap()?;
    /// let run = client.get(id.clone())?;
    /// assert_eq!(run.dlq_id(), Some(id));
    /// let nobody = client.get(DlqId::new("nobody")?).unwrap_err();
    /// assert!(nobody.status().is_some_and(|status| status == 404) && !nobody.may_have_changed());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Returns a [`Halt`] if the service refused the call, such as [`Halt::Refused`] with the status 404 for a run that is not in the
    /// DLQ, or if every attempt failed. It only reads, so nothing was changed.
    pub fn get(&self, id: DlqId) -> Result<DlqMessage, Halt> {
        self.call(GetMessage(id)).run()
    }

    /// Deletes one run, which must be there: `client.delete_one(id)?`
    ///
    /// ```
    /// # use upstash_dlq_emulator::{Config, LOCAL_TOKEN, Server, ServerOptions, Service, sample};
    /// # use upstash_dlq_ureq::{Client, core::{Endpoint, Token}};
    /// # let mut service = Service::new(Config::default());
    /// # service.extend(sample::runs(250, 1, 1_764_000_000_000));
    /// # let server = Server::start(service, ServerOptions::default())?;
    /// # let client = Client::new(Endpoint::new(&server.url(), Token::new(LOCAL_TOKEN)?)?)?;
    /// use upstash_dlq_ureq::core::DlqId;
    /// let id = server.with_service(|service| service.runs().next().map(|run| DlqId::new(&run.dlq_id))).unwrap()?;
    /// client.delete_one(id.clone())?;
    /// assert!(!server.with_service(|service| service.contains(id.as_str())));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Returns a [`Halt`] if the service refused the call, such as [`Halt::Refused`] with the status 404 for a run that is not in the
    /// DLQ, or if every attempt failed. [`Halt::may_have_changed`] says whether the run may be deleted all the same. The call is sent
    /// again after a lost response, so a 404 can then mean that the run was deleted.
    pub fn delete_one(&self, id: DlqId) -> Result<(), Halt> {
        self.call(DeleteOne(id)).run()
    }

    /// Resumes one run: `client.resume_one(id, Overrides::default())?`
    ///
    /// ```
    /// # use upstash_dlq_emulator::{Config, LOCAL_TOKEN, Server, ServerOptions, Service, sample};
    /// # use upstash_dlq_ureq::{Client, core::{Endpoint, Token}};
    /// # let mut service = Service::new(Config::default());
    /// # service.extend(sample::runs(250, 1, 1_764_000_000_000));
    /// # let server = Server::start(service, ServerOptions::default())?;
    /// # let client = Client::new(Endpoint::new(&server.url(), Token::new(LOCAL_TOKEN)?)?)?;
    /// use upstash_dlq_ureq::core::{DlqId, Halt, wire::Overrides};
    /// # use upstash_dlq_emulator::{Fault, FaultPlan};
    /// let id = server.with_service(|service| service.runs().next().map(|run| DlqId::new(&run.dlq_id))).unwrap()?;
    /// # server.with_service(|service| service.set_faults(FaultPlan::script(vec![Some(Fault::LostResponse)])));
    /// let lost = client.resume_one(id.clone(), Overrides::default()).unwrap_err();
    /// assert!(matches!(lost, Halt::InDoubt { asked: 1, .. }));
    /// assert!(client.get(id).is_err(), "it has left the DLQ, so it was started");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Returns a [`Halt`] if the service refused the call, or if every attempt failed. It is [`Halt::InDoubt`] if the run may have been
    /// started: the call is not sent again. Look before you make it again.
    pub fn resume_one(&self, id: DlqId, overrides: Overrides) -> Result<StartedRun, Halt> {
        self.call(ResumeOne::new(id, overrides)).run()
    }

    /// Restarts one run from its beginning: `client.restart_one(id, Overrides::default())?`
    ///
    /// ```
    /// # use upstash_dlq_emulator::{Config, LOCAL_TOKEN, Server, ServerOptions, Service, sample};
    /// # use upstash_dlq_ureq::{Client, core::{Endpoint, Token}};
    /// # let mut service = Service::new(Config::default());
    /// # service.extend(sample::runs(250, 1, 1_764_000_000_000));
    /// # let server = Server::start(service, ServerOptions::default())?;
    /// # let client = Client::new(Endpoint::new(&server.url(), Token::new(LOCAL_TOKEN)?)?)?;
    /// use upstash_dlq_ureq::core::{DlqId, wire::Overrides};
    /// let id = server.with_service(|service| service.runs().next().map(|run| DlqId::new(&run.dlq_id))).unwrap()?;
    /// let started = client.restart_one(id, Overrides::default())?;
    /// assert!(server.with_service(|service| service.started().any(|run| run.workflow_run_id == started.workflow_run_id)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Returns a [`Halt`] if the service refused the call, or if every attempt failed. It is [`Halt::InDoubt`] if the run may have been
    /// started: the call is not sent again. Look before you make it again.
    pub fn restart_one(&self, id: DlqId, overrides: Overrides) -> Result<StartedRun, Halt> {
        self.call(RestartOne::new(id, overrides)).run()
    }

    /// Sends a failed failure callback again: `client.retry_callback(id)?`
    ///
    /// # Errors
    /// Returns a [`Halt`] if the service refused the call, or if every attempt failed. It is [`Halt::InDoubt`] if the callback may have
    /// been sent: the call is not sent again. Look before you make it again.
    pub fn retry_callback(&self, id: DlqId) -> Result<StartedRun, Halt> {
        self.call(RetryCallback(id)).run()
    }

    /// Cancels a failure callback in progress: `client.cancel_callback(id)?`
    ///
    /// # Errors
    /// Returns a [`Halt`] if the service refused the call, or if every attempt failed. It is [`Halt::InDoubt`] if the callback may have
    /// been cancelled: the call is not sent again. Look before you make it again.
    pub fn cancel_callback(&self, id: DlqId) -> Result<(), Halt> {
        self.call(CancelCallback(id)).run()
    }
}
