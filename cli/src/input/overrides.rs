//! Turns the `--set-…` options into the core's [`Overrides`].

use crate::cli::OverrideArgs;
use crate::input::flag;
use upstash_dlq_core::wire::{FlowControl, Overrides};

impl OverrideArgs {
    pub(crate) fn build(&self) -> Result<Overrides, String> {
        let mut overrides = Overrides::builder();
        if let Some(retries) = self.set_retries {
            overrides = overrides.retries(retries);
        }
        if let Some(delay) = &self.set_delay {
            overrides = overrides.delay(delay.clone());
        }
        if let Some(expression) = &self.set_retry_delay {
            overrides = overrides.retry_delay(expression);
        }
        if let Some(key) = &self.set_flow_control_key {
            let mut flow = FlowControl::key(key);
            if let Some(parallelism) = self.set_parallelism {
                flow = flow.parallelism(parallelism);
            }
            flow = match (self.set_rate, &self.set_period) {
                (Some(rate), Some(period)) => flow.rate(rate, period.clone()),
                (Some(rate), None) => flow.rate_per_second(rate),
                (None, _) => flow,
            };
            overrides = overrides.flow_control(flow);
        }
        for label in &self.set_label {
            overrides = overrides.label(label);
        }
        if let Some(url) = &self.set_failure_callback {
            overrides = overrides.failure_callback(url);
        }
        overrides.build().map_err(|error| {
            let flag = match error.field() {
                "retryDelay" => "--set-retry-delay",
                "flowControlKey" => "--set-flow-control-key",
                "flowControl" => return "--set-flow-control-key: needs --set-parallelism or --set-rate".to_owned(),
                "parallelism" => "--set-parallelism",
                "rate" => "--set-rate",
                "label" => "--set-label",
                "failureCallback" => "--set-failure-callback",
                other => other,
            };
            flag::sentence(flag, &error)
        })
    }
}
