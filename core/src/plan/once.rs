//! A single call: one lane, one job.

use crate::engine::halt::Halt;
use crate::engine::job::Next;
use crate::engine::plan::{Drained, Plan};
use crate::engine::totals::Totals;
use crate::job::call::CallJob;
use crate::wire::call::Call;

#[derive(Clone, Debug)]
pub(crate) struct Once<C: Call> {
    job: Option<CallJob<C>>,
    output: Option<C::Output>,
}

impl<C: Call> Once<C> {
    pub(crate) fn new(call: C) -> Self {
        Self { job: Some(CallJob(call)), output: None }
    }
}

impl<C: Call> Plan for Once<C> {
    type Job = CallJob<C>;
    type Page = ();
    type Outcome = Result<C::Output, Halt>;

    fn next(&mut self) -> Result<Option<CallJob<C>>, Halt> {
        Ok(self.job.take())
    }

    fn queued(&self) -> usize {
        usize::from(self.job.is_some())
    }

    fn on_page(&mut self, _job: &mut CallJob<C>, page: C::Output, _next: &mut Next) {
        self.output = Some(page);
    }

    fn drained(&mut self, _totals: Totals) -> Drained {
        Drained::Done
    }

    fn outcome(&self, totals: Totals, halted: Option<Halt>) -> Result<C::Output, Halt> {
        match (halted, &self.output) {
            // The call has been answered, whoever stopped it then.
            (_, Some(output)) => Ok(output.clone()),
            // Only the halt tells: the result of a call has no totals.
            (Some(Halt::Stopped), None) if totals.unconfirmed > 0 => Err(Halt::StoppedUnconfirmed),
            (Some(halt), None) => Err(halt),
            // The call has no result yet.
            (None, None) => Err(Halt::NoProgress),
        }
    }
}
