//! What is wrong with a request, at the moment when it is sent.

use crate::disk::Meddling;
use crate::population::RunIndex;
use crate::schedule::Words;
use crate::schedule::{Driving, Item, Settings, Target, Work};
use crate::world::operations::id_in_the_path;
use crate::world::{Asked, FOREIGN, OTHER_TOKEN, Process, World, archive_path, lock_path};
use http::{Method, Request};
use std::collections::BTreeMap;
use std::path::Path;
use upstash_dlq_emulator::LOCAL_TOKEN;

/// The longest URL of a request for several ids, in bytes.
const LONGEST_URL: usize = 8_000;

impl World {
    /// What is wrong with a request of a process that must not send any, or that has its own words.
    pub(super) fn objection_to_words(&self, process: &Process, request: &Request<()>) -> Option<String> {
        if let Some(why) = self.lock().silent.get(&process.number) {
            return Some(format!("{why}: process {} sends {}", process.number, request.uri()));
        }
        let token = if process.words == Some(Words::Token) { OTHER_TOKEN } else { LOCAL_TOKEN };
        let sent = request.headers().get("authorization").and_then(|value| value.to_str().ok());
        if sent != Some(format!("Bearer {token}").as_str()) {
            return Some(format!("the token is sent: {sent:?}"));
        }
        let wanted: &[(&str, &str)] = match self.schedule.settings().filter(|_| request.method() == Method::POST) {
            None => &[],
            Some(Settings::Retries) => &[("upstash-retries", "5")],
            Some(Settings::LabelsAndDelay) => &[("upstash-delay", "10s"), ("upstash-label", "a b,c&d")],
            Some(Settings::FlowControl) => &[
                ("upstash-flow-control-key", "k=1"),
                ("upstash-flow-control-value", "parallelism=3, rate=10, period=1m"),
                ("upstash-retry-delay", "1000 * (1 + retried)"),
            ],
        };
        let settings = request.headers().iter().filter(|(name, _)| name.as_str().starts_with("upstash-"));
        let mut settings: Vec<(&str, &str)> =
            settings.map(|(name, value)| (name.as_str(), value.to_str().unwrap_or("?"))).collect();
        settings.sort_unstable();
        (settings != wanted).then(|| format!("settings are sent as they were given: {settings:?}, not {wanted:?}"))
    }

    /// How many requests this process may have in flight at once.
    pub(super) fn lanes_of(&self, process: &Process) -> usize {
        self.schedule.lanes() + usize::from(process.words == Some(Words::Lanes))
    }

    /// What is wrong with a request that changes something after somebody has meddled with a file that protects it.
    pub(super) fn objection_to_meddling(&self, process: &Process, asked: &Asked) -> Option<String> {
        if asked.method == Method::GET {
            return None;
        }
        let by_us = |path: &Path| {
            self.machine.meddled(path).into_iter().filter(|meddled| meddled.holder == Some(process.number))
        };
        if by_us(&lock_path()).next().is_some() {
            let mut state = self.lock();
            let sent = state.after_lock.entry(process.number).or_default();
            *sent += 1;
            // A request's checkpoint may have been written just before. One that saves without waiting may have written those
            // of all lanes.
            let most = if self.schedule.work() == Work::ResumeListed { self.lanes_of(process) } else { 1 };
            return (*sent > most).then(|| "a lost lock is noticed: further requests are sent without it".to_owned());
        }
        by_us(&archive_path()).find(|meddled| matches!(meddled.how, Meddling::Appended(_)))?;
        let files = self.machine.files();
        let archive = files.iter().find(|(path, _)| *path == archive_path()).map(|(_, bytes)| bytes.as_slice());
        let text = String::from_utf8_lossy(archive.unwrap_or_default()).into_owned();
        let (_, after) = text.split_once(FOREIGN)?;
        let state = self.lock();
        let runs = asked.ids.iter().filter_map(|id| state.runs.get(id));
        let mut lines = runs.map(|run| self.population.run(*run).to_json());
        let is_after = lines.any(|line| after.lines().any(|other| other == line));
        is_after.then(|| "a changed archive is noticed: what was stored after the change is deleted".to_owned())
    }

    /// When the times of the selection were resolved that this process uses. "Until now" means the present of the process that has
    /// resolved it: with a checkpoint the first one, otherwise each one for itself.
    fn resolved_at(&self, process: &Process) -> i64 {
        let resolved = self.lock().resolved_at.filter(|_| self.schedule.has_checkpoint());
        resolved.unwrap_or_else(|| self.client_wall_at_ms(process, process.began_ms))
    }

    /// What is wrong with a request of a process that was asked to stop.
    pub(super) fn objection_after_a_stop(&self, process: &Process) -> Option<String> {
        let in_slices = matches!(self.schedule.driving(), Driving::Slices { .. });
        let is_told = match self.schedule.work() {
            Work::ResumeListed => false,
            Work::Delete => !in_slices,
            Work::List => !matches!(self.schedule.driving(), Driving::TakenBack(_)),
            _ => true,
        };
        let now = self.elapsed_ms();
        let was_asked = |item: &Item| matches!(item, Item::Stop { at_ms } if *at_ms > process.began_ms && now > *at_ms);
        let is_late = is_told && !self.is_calm() && self.schedule.items.iter().any(was_asked);
        is_late.then(|| format!("a stop stops: process {} sends a request at {now} ms", process.number))
    }

    /// What is wrong with a request, whatever becomes of it.
    pub(super) fn objection(
        &self,
        process: &Process,
        request: &Request<()>,
        asked: &Asked,
        query: &[(String, String)],
    ) -> Option<String> {
        let (target, now) = (self.schedule.target(), self.resolved_at(process));
        if let Some(id) = id_in_the_path(request.uri().path()) {
            return self.objection_to_one(&target, &id, query);
        }
        if asked.ids.is_empty() {
            if self.schedule.work() == Work::Archive && asked.method == Method::DELETE {
                return Some("archived first: an archived delete deletes by filter".into());
            }
            return target.objection(self.population, now, query);
        }
        if let Some((name, _)) = query.iter().find(|(name, _)| name != "dlqIds") {
            return Some(format!("nothing outside: a request by ids has {name}, too"));
        }
        if asked.ids.len() > 1 && request.uri().to_string().len() > LONGEST_URL {
            return Some(format!("requests stay short: one has {} bytes", request.uri().to_string().len()));
        }
        let state = self.lock();
        let indexes: BTreeMap<&str, RunIndex> =
            (asked.ids.iter()).filter_map(|id| state.runs.get(id).map(|index| (id.as_str(), *index))).collect();
        for id in &asked.ids {
            let is_wanted = match indexes.get(id.as_str()) {
                Some(index) => target.wants_at(self.population, *index, now),
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
            let mut lasting = self.lasting_lines();
            // What was stored before somebody removed it may be deleted: it was there when it was looked at.
            lasting.extend(self.taken_lines());
            let missing = indexes.values().find(|index| !lasting.contains(&self.population.run(**index).to_json()));
            return missing
                .map(|index| format!("archived first: run {index} is deleted and is not in the archive on the disk"));
        }
        None
    }
}
