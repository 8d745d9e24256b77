//! The query of list and bulk delete, read as strictly as the service reads it.

use crate::run::Run;
use http::Method;

#[derive(Clone, Debug, Default)]
pub(crate) struct Query {
    pub(crate) dlq_ids: Vec<String>,
    pub(crate) cursor: Option<String>,
    pub(crate) count: Option<u64>,
    pub(crate) token: Option<String>,
    from: Option<i64>,
    to: Option<i64>,
    workflow_created_at: Option<i64>,
    workflow_run_id: Option<String>,
    workflow_url: Vec<String>,
    label: Vec<String>,
    state: Vec<String>,
    caller_ip: Vec<String>,
    flow_control_key: Vec<String>,
    url: Option<String>,
    response_status: Option<i64>,
    workflow_source: bool,
    /// What its cursors are bound to, where they are.
    pub(crate) binding: Option<String>,
}

pub(crate) struct Rules {
    /// Whether it is the list of `/v2/dlq`, which knows more names and has to be told which DLQ is meant.
    pub(crate) messages: bool,
    pub(crate) split_commas: bool,
    pub(crate) strict: bool,
    pub(crate) ids_allowed: bool,
}

impl Query {
    /// An empty value counts as no value at all: `label=` matches everything, which is the service's sharpest trap.
    pub(crate) fn parse(text: &str, rules: &Rules, passed_over: impl Fn(&str) -> bool) -> Result<Self, String> {
        let mut query = Self::default();
        for (name, value) in form_urlencoded::parse(text.as_bytes()) {
            if value.is_empty() || passed_over(&name) {
                continue;
            }
            let values: Vec<String> = if rules.split_commas {
                value.split(',').filter(|v| !v.is_empty()).map(str::to_owned).collect()
            } else {
                vec![value.to_string()]
            };
            let int = || value.parse::<i64>().map_err(|_| format!("invalid {name}"));
            match &*name {
                "dlqIds" if rules.ids_allowed => query.dlq_ids.extend(values),
                "cursor" => query.cursor = Some(value.into_owned()),
                "count" => query.count = Some(value.parse().ok().filter(|n| *n > 0).ok_or("invalid count")?),
                "fromDate" => query.from = Some(int()?),
                "toDate" => query.to = Some(int()?),
                "workflowCreatedAt" => query.workflow_created_at = Some(int()?),
                "workflowRunId" => query.workflow_run_id = Some(value.into_owned()),
                "workflowUrl" => query.workflow_url.extend(values),
                "label" => query.label.extend(values),
                "failureFunctionState" => query.state.extend(values),
                "callerIp" => query.caller_ip.extend(values),
                "flowControlKey" => query.flow_control_key.extend(values),
                "qstash_token" => query.token = Some(value.into_owned()),
                "source" if rules.messages => query.workflow_source = value == "workflow",
                "url" if rules.messages => query.url = Some(value.into_owned()),
                "responseStatus" if rules.messages => query.response_status = Some(int()?),
                unknown if rules.strict => return Err(format!("unknown query parameter {unknown}")),
                _ => {}
            }
        }
        if rules.messages && !query.workflow_source {
            return Err("source must be workflow: this server has no other DLQ".into());
        }
        Ok(query)
    }

    /// A short text that differs between queries with other filters or another method.
    pub(crate) fn binding_to(&self, method: &Method) -> String {
        let filters = Self { cursor: None, count: None, token: None, binding: None, ..self.clone() };
        let text = format!("{method} {filters:?}");
        let hash = text
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
        format!("{hash:016x}")
    }

    pub(crate) fn matches(&self, run: &Run) -> bool {
        let any = |wanted: &[String], has: &dyn Fn(&str) -> bool| wanted.is_empty() || wanted.iter().any(|w| has(w));
        self.from.is_none_or(|from| run.created_at >= from)
            && self.to.is_none_or(|to| run.created_at <= to)
            && self.workflow_created_at.is_none_or(|at| run.workflow_created_at == at)
            && self.workflow_run_id.as_deref().is_none_or(|prefix| run.workflow_run_id.starts_with(prefix))
            && self.url.as_deref().is_none_or(|url| run.url == url)
            && self.response_status.is_none_or(|status| i64::from(run.response_status) == status)
            && any(&self.workflow_url, &|w| run.workflow_url == w)
            && any(&self.label, &|w| run.labels.iter().any(|label| label == w))
            && any(&self.state, &|w| run.failure_function_state.as_deref() == Some(w))
            && any(&self.caller_ip, &|w| run.caller_ip == w)
            && any(&self.flow_control_key, &|w| run.flow_control_key.as_deref() == Some(w))
    }
}
