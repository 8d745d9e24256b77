//! The wait of a driver.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::{Instant, Sleep};

/// One wait after another. It allocates once.
#[derive(Debug, Default)]
pub(crate) struct Timer {
    sleep: Option<Pin<Box<Sleep>>>,
    is_running: bool,
}

impl Timer {
    /// Begins a wait, or continues the one that runs. `wait` counts only if none runs.
    pub(crate) fn poll(&mut self, wait: Duration, cx: &mut Context<'_>) -> Poll<()> {
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep(wait)));
        if !self.is_running {
            sleep.as_mut().reset(Instant::now() + wait);
            self.is_running = true;
        }
        ready!(sleep.as_mut().poll(cx));
        self.is_running = false;
        Poll::Ready(())
    }

    /// Leaves the wait.
    pub(crate) fn stop(&mut self) {
        self.is_running = false;
    }
}
