//! What is wrong with a request, at the moment when it is sent.

use crate::population::RunIndex;
use crate::schedule::{Driving, Item, Target, Work};
use crate::world::{Asked, Process, World, archive_path};
use http::{Method, Request};
use std::collections::BTreeMap;

impl World {
    /// What is wrong with the dates of a request: "until now" means the present of the process that has resolved it.
    pub(super) fn objection_to_times(&self, query: &[(String, String)]) -> Option<String> {
        let is_relative = self.schedule.target() == Target::RedUntilNow;
        if !is_relative || !self.schedule.work().has_checkpoint() {
            return None;
        }
        let to = query.iter().find(|(name, _)| name == "toDate").and_then(|(_, to)| to.parse::<i64>().ok())?;
        let resolved_at = self.lock().resolved_at?;
        (to > resolved_at).then(|| format!("times stay as they were: {to} is after {resolved_at}"))
    }

    /// What is wrong with a request of a process that was asked to stop.
    pub(super) fn objection_after_a_stop(&self, process: &Process) -> Option<String> {
        let in_slices = matches!(self.schedule.driving(), Driving::Slices { .. });
        let is_told = match self.schedule.work() {
            Work::ResumeListed => false,
            Work::Delete => !in_slices,
            _ => true,
        };
        let now = self.elapsed_ms();
        let was_asked = |item: &Item| matches!(item, Item::Stop { at_ms } if *at_ms > process.began_ms && now > *at_ms);
        let is_late = is_told && !self.is_calm() && self.schedule.items.iter().any(was_asked);
        is_late.then(|| format!("a stop stops: process {} sends a request at {now} ms", process.number))
    }

    /// What is wrong with a request, whatever becomes of it.
    pub(super) fn objection(&self, request: &Request<()>, asked: &Asked, query: &[(String, String)]) -> Option<String> {
        let target = self.schedule.target();
        if asked.ids.is_empty() {
            let is_one = request.uri().path() != "/v2/workflows/dlq" && request.method() == Method::GET;
            if is_one {
                return None;
            }
            if self.schedule.work() == Work::Archive && asked.method == Method::DELETE {
                return Some("archived first: an archived delete deletes by filter".into());
            }
            return target.objection(self.population, query);
        }
        if let Some((name, _)) = query.iter().find(|(name, _)| name != "dlqIds") {
            return Some(format!("nothing outside: a request by ids has {name}, too"));
        }
        let state = self.lock();
        let indexes: BTreeMap<&str, RunIndex> =
            (asked.ids.iter()).filter_map(|id| state.runs.get(id).map(|index| (id.as_str(), *index))).collect();
        for id in &asked.ids {
            let is_wanted = match indexes.get(id.as_str()) {
                Some(index) => target.wants(self.population, *index),
                None => {
                    matches!(&target, Target::Ids(runs) if runs.iter().any(|run| self.population.id_of(*run) == *id))
                }
            };
            if !is_wanted {
                return Some(format!("nothing outside: a request asks for {id}, which is not in {target:?}"));
            }
        }
        drop(state);
        if self.schedule.work() == Work::Archive && asked.method == Method::DELETE {
            let mut lasting = self.lasting_lines(&archive_path());
            // What was stored before somebody removed it may be deleted: it was there when it was looked at.
            lasting.extend(self.lock().removed.iter().cloned());
            let missing = indexes.values().find(|index| !lasting.contains(&self.population.run(**index).to_json()));
            return missing
                .map(|index| format!("archived first: run {index} is deleted and is not in the archive on the disk"));
        }
        None
    }
}
