//! What the service does to its runs.

use crate::model::{Key, Service};
use crate::query::Query;
use crate::response::{Refusal, json, plain};
use crate::started::{Started, StartedBy};
use http::{Response, StatusCode};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

/// The most runs that one request resumes or restarts.
const MAX_STARTS: u32 = 50;

type Served = Result<Response<Vec<u8>>, Refusal>;

fn absent() -> Refusal {
    Refusal(StatusCode::NOT_FOUND, "dlq message not found".into())
}

fn bad(words: &str) -> Refusal {
    Refusal(StatusCode::BAD_REQUEST, words.into())
}

impl Service {
    pub(crate) fn bulk_delete(&mut self, query: &Query) -> Served {
        if !query.dlq_ids.is_empty() {
            let deleted = query.dlq_ids.iter().filter(|id| self.delete(id)).count();
            return Ok(json(&serde_json::json!({ "deleted": deleted })));
        }
        let (keys, cursor) = self.page(query, self.config.delete_max_count, 100)?;
        let deleted = keys.iter().filter(|(_, id)| self.delete(id)).count();
        Ok(json(&match cursor {
            Some(cursor) => serde_json::json!({ "deleted": deleted, "cursor": cursor }),
            None => serde_json::json!({ "deleted": deleted }),
        }))
    }

    pub(crate) fn list(&mut self, query: &Query) -> Served {
        // Deleted runs that the listing has not caught up with appear in their old places.
        let ghosts: Vec<Key> = self.ghosts.iter().map(|(_, run)| (run.created_at, run.dlq_id.clone())).collect();
        let mut shown = Vec::new();
        for (key, (_, run)) in ghosts.into_iter().zip(&self.ghosts) {
            if let Entry::Vacant(place) = self.runs.entry(key.clone()) {
                place.insert(run.clone());
                shown.push(key);
            }
        }
        let page = self.page(query, Some(self.config.max_count), 100);
        let mut body = b"{\"messages\":[".to_vec();
        for (number, run) in page.iter().flat_map(|(keys, _)| keys).filter_map(|key| self.runs.get(key)).enumerate() {
            body.extend((number > 0).then_some(b','));
            body.extend_from_slice(run.to_json().as_bytes());
        }
        shown.iter().for_each(|key| drop(self.runs.remove(key)));
        self.ghosts.iter_mut().for_each(|(left, _)| *left -= 1);
        self.ghosts.retain(|(left, _)| *left > 0);
        let (_, cursor) = page?;
        let cursor = serde_json::Value::from(cursor.unwrap_or_default());
        body.extend(format!("],\"cursor\":{cursor}}}").into_bytes());
        Ok(plain(StatusCode::OK, body))
    }

    pub(crate) fn get(&self, id: &str) -> Served {
        self.run(id).map(|run| plain(StatusCode::OK, run.to_json())).ok_or_else(absent)
    }

    pub(crate) fn delete_one(&mut self, id: &str) -> Served {
        if self.delete(id) { Ok(plain(StatusCode::OK, "")) } else { Err(absent()) }
    }

    pub(crate) fn start_one(
        &mut self,
        now_ms: i64,
        started_by: StartedBy,
        id: &str,
        overrides: &BTreeMap<String, String>,
    ) -> Served {
        if self.run(id).is_none() {
            return Err(absent());
        }
        Ok(json(&self.start(now_ms, started_by, id, overrides)))
    }

    pub(crate) fn start_many(
        &mut self,
        now_ms: i64,
        started_by: StartedBy,
        query: &Query,
        overrides: &BTreeMap<String, String>,
    ) -> Served {
        let (ids, cursor) = if query.dlq_ids.is_empty() {
            let (keys, cursor) = self.page(query, Some(MAX_STARTS), MAX_STARTS.into())?;
            (keys.into_iter().map(|(_, id): Key| id).collect(), cursor)
        } else if query.dlq_ids.len() > usize::try_from(MAX_STARTS).unwrap_or(usize::MAX) {
            return Err(bad("too many dlqIds"));
        } else if query.dlq_ids.iter().any(|id| self.run(id).is_none()) {
            return Err(Refusal(StatusCode::NOT_FOUND, "some dlq messages were not found".into()));
        } else {
            (query.dlq_ids.clone(), None)
        };
        let runs: Vec<serde_json::Value> = ids.iter().map(|id| self.start(now_ms, started_by, id, overrides)).collect();
        Ok(json(&serde_json::json!({ "workflowRuns": runs, "cursor": cursor.unwrap_or_default() })))
    }

    fn start(
        &mut self,
        now_ms: i64,
        started_by: StartedBy,
        id: &str,
        overrides: &BTreeMap<String, String>,
    ) -> serde_json::Value {
        if !self.config.started_runs_stay {
            self.remove(id);
        }
        let started = Started {
            started_by,
            dlq_id: id.to_owned(),
            workflow_run_id: format!("wfr_{now_ms:x}_{:06}", self.started.len() + 1),
            workflow_created_at: now_ms,
            overrides: overrides.clone(),
        };
        let json = started.json();
        self.started.push(started);
        json
    }

    pub(crate) fn retry_callback(&mut self, id: &str) -> Served {
        let run = self.run_mut(id).ok_or_else(absent)?;
        let state = run.failure_function_state.as_deref();
        if run.failure_callback.is_none() || !matches!(state, Some("CALLBACK_FAIL" | "CALLBACK_CANCELED")) {
            return Err(bad("there is no failed failure callback to retry"));
        }
        run.set_callback_state("CALLBACK_INPROGRESS");
        let started = Started {
            started_by: StartedBy::Callback,
            dlq_id: id.to_owned(),
            workflow_run_id: run.workflow_run_id.clone(),
            workflow_created_at: run.workflow_created_at,
            overrides: BTreeMap::new(),
        };
        let json = started.json();
        self.started.push(started);
        Ok(crate::response::json(&json))
    }

    pub(crate) fn cancel_callback(&mut self, id: &str) -> Served {
        let run = self.run_mut(id).ok_or_else(absent)?;
        if run.failure_function_state.as_deref() != Some("CALLBACK_INPROGRESS") {
            return Err(bad("there is no failure callback in progress"));
        }
        run.set_callback_state("CALLBACK_CANCELED");
        let mut response = Response::new(Vec::new());
        *response.status_mut() = StatusCode::FOUND;
        Ok(response)
    }
}
