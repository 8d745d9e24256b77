//! Implements [`Operation`](crate::engine::operation::Operation) for operations that are one scheduler and nothing else.

/// Implements the trait for a struct with a field `scheduler`: every method is the scheduler's. The last argument turns the plan's
/// pages into the operation's, if they differ.
macro_rules! delegate {
    ([$($generics:tt)*] $operation:ty, $name:literal, $page:ty, $outcome:ty) => {
        delegate!([$($generics)*] $operation, $name, $page, $outcome, core::convert::identity);
    };
    ([$($generics:tt)*] $operation:ty, $name:literal, $page:ty, $outcome:ty, $to_page:path) => {
        impl<$($generics)*> crate::engine::operation::Operation for $operation {
            type Page = $page;
            type Outcome = $outcome;

            fn poll(&mut self, now: core::time::Duration) -> crate::engine::operation::Step<$outcome> {
                self.scheduler.poll(now)
            }

            fn on_response(
                &mut self,
                id: crate::engine::operation::RequestId,
                response: http::Response<&[u8]>,
            ) -> Result<crate::engine::operation::Event<$page>, crate::engine::operation::InvalidState> {
                self.scheduler.on_response(id, &response).map(|event| event.map($to_page))
            }

            fn on_failure(
                &mut self,
                id: crate::engine::operation::RequestId,
                failure: crate::engine::failure::TransportFailure,
            ) -> Result<crate::engine::operation::Event<$page>, crate::engine::operation::InvalidState> {
                self.scheduler.on_failure(id, failure).map(|event| event.map($to_page))
            }

            fn cancel_unsent(
                &mut self,
                id: crate::engine::operation::RequestId,
            ) -> Result<(), crate::engine::operation::InvalidState> {
                self.scheduler.cancel_unsent(id)
            }

            fn connection_lost(&mut self) {
                self.scheduler.connection_lost();
            }

            fn name(&self) -> &'static str {
                $name
            }

            fn totals(&self) -> crate::engine::totals::Totals {
                self.scheduler.totals()
            }

            fn halt(&self) -> Option<&crate::engine::halt::Halt> {
                self.scheduler.halted()
            }

            fn in_flight(&self) -> usize {
                self.scheduler.in_flight()
            }

            fn halt_for(&mut self, reason: crate::engine::halt::Halt) {
                self.scheduler.halt(reason);
            }

            fn outcome_halted(&self, halt: crate::engine::halt::Halt) -> $outcome {
                self.scheduler.outcome_halted(halt)
            }

            fn concurrency(&self) -> usize {
                self.scheduler.concurrency()
            }
        }
    };
}

pub(crate) use delegate;
