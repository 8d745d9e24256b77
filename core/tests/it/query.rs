//! What is sent is what was given, for any text.

use crate::one_lane::{One, OneStep};
use http::Response;
use proptest::prelude::*;
use std::num::NonZeroU32;
use upstash_dlq_core::model::FailureFunctionState;
use upstash_dlq_core::selection::{FilterBuilder, Ids};
use upstash_dlq_core::wire::Call;
use upstash_dlq_core::wire::List;
use upstash_dlq_core::{BulkDelete, BulkResume, DlqId, Endpoint, Filter, Selection, Token, UnixMillis};

use crate::cases::cases;

type Pairs = Vec<(String, String)>;

/// Text with everything in it that an encoder, a decoder or the service may stumble over.
fn text() -> BoxedStrategy<String> {
    prop_oneof![
        4 => "\\PC{0,12}",
        3 => "[-+%&=;,?#/ .~*a0\u{0}\u{1}\r\nÄ€😀\u{a0}\u{202e}]{0,8}",
        1 => any::<String>(),
        1 => prop::sample::select(vec!["", " ", ",", "%2C", "+", "%", "%zz", "a=b&c=d", "\u{3000}", "label", "\u{0}"])
            .prop_map(str::to_owned),
    ]
    .boxed()
}

fn valid_text() -> BoxedStrategy<String> {
    let valid = |t: String| Some(t.replace(',', "")).filter(|t| !t.trim().is_empty());
    text().prop_filter_map("refused on purpose", valid).boxed()
}

#[derive(Clone, Debug, Default)]
struct Given {
    from: Option<i64>,
    to: Option<i64>,
    created_at: Option<i64>,
    run_id: Option<String>,
    urls: Vec<String>,
    labels: Vec<String>,
    states: Vec<String>,
    ips: Vec<String>,
    keys: Vec<String>,
}

impl Given {
    fn builder(&self) -> FilterBuilder {
        let mut builder = Filter::builder();
        builder = self.from.map(UnixMillis::new).into_iter().fold(builder, FilterBuilder::from);
        builder = self.to.map(UnixMillis::new).into_iter().fold(builder, FilterBuilder::to);
        let created_at = self.created_at.map(UnixMillis::new);
        builder = created_at.into_iter().fold(builder, FilterBuilder::workflow_created_at);
        builder = self.run_id.iter().fold(builder, FilterBuilder::workflow_run_id);
        builder = self.urls.iter().fold(builder, FilterBuilder::workflow_url);
        builder = self.labels.iter().fold(builder, FilterBuilder::label);
        builder = self
            .states
            .iter()
            .fold(builder, |b, state| b.failure_function_state(&FailureFunctionState::from(state.as_str())));
        builder = self.ips.iter().fold(builder, FilterBuilder::caller_ip);
        self.keys.iter().fold(builder, FilterBuilder::flow_control_key)
    }

    fn pairs(&self) -> Pairs {
        let mut pairs = Pairs::new();
        let mut all = |name: &str, values: &mut dyn Iterator<Item = String>| {
            pairs.extend(values.map(|value| (name.to_owned(), value)));
        };
        all("fromDate", &mut self.from.iter().map(i64::to_string));
        all("toDate", &mut self.to.iter().map(i64::to_string));
        all("workflowUrl", &mut self.urls.iter().cloned());
        all("workflowRunId", &mut self.run_id.iter().cloned());
        all("workflowCreatedAt", &mut self.created_at.iter().map(i64::to_string));
        all("label", &mut self.labels.iter().cloned());
        all("failureFunctionState", &mut self.states.iter().cloned());
        all("callerIp", &mut self.ips.iter().cloned());
        all("flowControlKey", &mut self.keys.iter().cloned());
        pairs
    }

    /// The rules once more, in other words than the library's.
    fn is_allowed(&self) -> bool {
        let pairs = self.pairs();
        let in_order = self.from.zip(self.to).is_none_or(|(from, to)| from <= to);
        in_order
            && !pairs.is_empty()
            && pairs.iter().all(|(_, v)| v.chars().any(|c| !c.is_whitespace()) && !v.contains(','))
    }
}

fn given(text: BoxedStrategy<String>) -> impl Strategy<Value = Given> {
    let many = || prop::collection::vec(text.clone(), 0..3);
    let time = || prop::option::weighted(0.2, prop_oneof![any::<i64>(), 0..2_000_000_000_000_i64]);
    ((time(), time(), time()), prop::option::weighted(0.2, text.clone()), many(), many(), many(), many(), many())
        .prop_map(|((from, to, created_at), run_id, urls, labels, states, ips, keys)| Given {
            from,
            to,
            created_at,
            run_id,
            urls,
            labels,
            states,
            ips,
            keys,
        })
}

fn endpoint() -> Endpoint {
    Endpoint::new("https://qstash.upstash.io", Token::new("t").unwrap()).unwrap()
}

fn delete_uri(selection: Selection) -> String {
    match BulkDelete::builder(endpoint(), selection).one().poll() {
        OneStep::Send(request) => request.uri().to_string(),
        other => panic!("the first step is a request, not {other:?}"),
    }
}

fn query(uri: &str) -> &str {
    uri.split_once('?').map_or("", |(_, query)| query)
}

/// Three independent readers and one independent writer.
fn check_encoding(uri: &str, pairs: &Pairs) -> Result<(), TestCaseError> {
    prop_assert_eq!(&form_urlencoded_parse(query(uri)), pairs);
    prop_assert_eq!(&serde_urlencoded::from_str::<Pairs>(query(uri)).unwrap(), pairs);
    let mut written = url::Url::parse(uri).unwrap();
    prop_assert_eq!(written.as_str(), uri);
    written.query_pairs_mut().clear().extend_pairs(pairs);
    prop_assert_eq!(written.as_str(), uri);
    Ok(())
}

fn form_urlencoded_parse(query: &str) -> Pairs {
    url::form_urlencoded::parse(query.as_bytes()).into_owned().collect()
}

proptest! {
    #![proptest_config(cases(256, 12_800))]

    #[test]
    fn a_filter_is_sent_as_it_was_given(given in given(valid_text()), count in 1..5_000_u32) {
        prop_assume!(given.is_allowed());
        let filter = given.builder().build().unwrap();
        let mut pairs = given.pairs();
        pairs.push(("count".into(), count.to_string()));
        let page_size = NonZeroU32::new(count).unwrap();
        let mut bulk = BulkDelete::builder(endpoint(), Selection::Filter(filter.clone())).page_size(page_size).one();
        let OneStep::Send(request) = bulk.poll() else { panic!() };
        check_encoding(&request.uri().to_string(), &pairs)?;
        pairs.pop();
        pairs.push(("count".into(), count.min(100).to_string()));
        let list = List::matching(filter).page_size(count).to_request(&endpoint()).unwrap();
        check_encoding(&list.uri().to_string(), &pairs)?;
    }

    #[test]
    fn a_cursor_is_sent_as_it_came(cursor in text().prop_filter("the end", |c| !c.is_empty())) {
        let mut bulk = BulkDelete::builder(endpoint(), Selection::Everything).one();
        bulk.poll();
        let page = format!("{{\"deleted\":1,\"cursor\":{}}}", serde_json::to_string(&cursor).unwrap());
        bulk.on_response(&http::Response::new(page)).unwrap();
        let OneStep::Send(request) = bulk.poll() else { panic!() };
        check_encoding(&request.uri().to_string(), &vec![("count".into(), "100".into()), ("cursor".into(), cursor)])?;
    }

    #[test]
    fn no_filter_ever_becomes_everything(given in given(text())) {
        match given.builder().build() {
            Ok(filter) => {
                prop_assert!(given.is_allowed());
                let uri = delete_uri(Selection::Filter(filter));
                let sent = form_urlencoded_parse(query(&uri));
                prop_assert!(sent.iter().any(|(name, value)| name != "count" && !value.trim().is_empty()), "{}", uri);
            }
            Err(error) => {
                prop_assert!(!given.is_allowed(), "{}", error);
                let shown = error.to_string();
                prop_assert!(!shown.chars().any(char::is_control), "{:?}", shown);
            }
        }
    }

    #[test]
    fn no_list_of_ids_ever_becomes_everything(ids in prop::collection::vec(text(), 0..4)) {
        let Ok(parsed) = Ids::parse(ids.clone()) else { return Ok(()) };
        let sent = form_urlencoded_parse(query(&delete_uri(Selection::Ids(parsed))));
        prop_assert!(!sent.is_empty());
        let all_given = sent.iter().all(|(name, id)| name == "dlqIds" && !id.trim().is_empty() && ids.contains(id));
        prop_assert!(all_given, "{:?}", sent);
    }

    #[test]
    fn all_ids_are_sent_once_in_order_under_the_bound(
        ids in prop::collection::vec(prop_oneof![3 => valid_text(), 1 => "[a-z]{200,300}", 1 => "[€ä]{1,300}"], 1..60),
        repeat in 1..5_usize,
        base in prop::sample::select(vec!["https://qstash.upstash.io", "http://127.0.0.1:8080/a/b", LONG_BASE]),
        token in "[!-~]{1,690}",
        in_query: bool,
    ) {
        let mut valid: Vec<DlqId> = Vec::new();
        for n in 0..repeat {
            valid.extend(ids.iter().filter_map(|id| DlqId::new(format!("{id}{n}")).ok()));
        }
        prop_assume!(!valid.is_empty());
        let ids = Ids::new(valid).unwrap();
        let builder = if in_query { Endpoint::builder().token_in_query() } else { Endpoint::builder() };
        // A token that grows too long in a query is refused.
        let token = if in_query { token.chars().take(690).collect() } else { token };
        let endpoint = builder.build(base, Token::new(token.clone()).unwrap()).unwrap();
        let mut bulk = BulkDelete::builder(endpoint, Selection::Ids(ids.clone())).one();
        let mut sent = Vec::new();
        while let OneStep::Send(request) = bulk.poll() {
            let uri = request.uri().to_string();
            prop_assert!(uri.len() <= 8_000, "{} bytes", uri.len());
            let mut pairs = form_urlencoded_parse(query(&uri));
            check_encoding(&uri, &pairs)?;
            if in_query {
                prop_assert_eq!(pairs.pop(), Some(("qstash_token".to_owned(), token.clone())));
            }
            prop_assert!(!pairs.is_empty());
            for (name, id) in pairs {
                prop_assert_eq!(name, "dlqIds");
                sent.push(id);
            }
            bulk.on_response(&http::Response::new("{\"deleted\":0}")).unwrap();
        }
        let wanted: Vec<&str> = ids.as_slice().iter().map(DlqId::as_str).collect();
        prop_assert_eq!(sent, wanted);
    }

    #[test]
    fn a_filter_survives_json(given in given(valid_text())) {
        prop_assume!(given.is_allowed());
        let filter = given.builder().build().unwrap();
        let json = serde_json::to_string(&filter).unwrap();
        prop_assert_eq!(&serde_json::from_str::<Filter>(&json).unwrap(), &filter);
        let pretty = serde_json::to_string_pretty(&serde_json::to_value(&filter).unwrap()).unwrap();
        prop_assert_eq!(&serde_json::from_str::<Filter>(&pretty).unwrap(), &filter);
    }

    #[test]
    fn json_that_breaks_the_rules_is_no_filter(given in given(text())) {
        let mut json = serde_json::Map::new();
        for (name, value) in given.pairs() {
            let value = match (&*name, value.parse::<i64>()) {
                ("fromDate" | "toDate" | "workflowCreatedAt", Ok(time)) => time.into(),
                _ => serde_json::Value::from(value),
            };
            if matches!(&*name, "fromDate" | "toDate" | "workflowCreatedAt" | "workflowRunId") {
                json.insert(name, value);
            } else if let Some(list) = json.entry(name).or_insert_with(|| serde_json::json!([])).as_array_mut() {
                list.push(value);
            }
        }
        let read = serde_json::from_value::<Filter>(json.into());
        prop_assert_eq!(read.is_ok(), given.is_allowed(), "{:?}", read);
        if let Ok(filter) = read {
            prop_assert_eq!(filter, given.builder().build().unwrap());
        }
    }
}

const LONG_BASE: &str =
    "https://qstash.upstash.io/0123456789/0123456789/0123456789/0123456789/0123456789/0123456789/0123";

/// The longest base, token and id that are taken, each of what grows most when encoded.
#[test]
fn the_longest_parts_still_fit_the_bound() {
    for in_query in [false, true] {
        let builder = if in_query { Endpoint::builder().token_in_query() } else { Endpoint::builder() };
        let base = format!("https://h/{}", "p".repeat(1_990));
        let Ok(endpoint) = builder.build(&base, Token::new("%".repeat(2_000)).unwrap()) else { continue };
        let ids = Ids::parse(["€".repeat(341), "b".into()]).unwrap();
        let mut bulk = BulkDelete::builder(endpoint, Selection::Ids(ids)).one();
        let OneStep::Send(request) = bulk.poll() else { panic!() };
        let len = request.uri().to_string().len();
        assert!(len <= 8_000, "token in the query: {in_query}, {len} bytes");
    }
}

/// Each request names as many ids as its URL may hold, whatever else is in it.
#[test]
fn a_batch_fills_its_url() {
    const PAIR: usize = "&dlqIds=".len() + 200;
    let token = || Token::new("to/ken").unwrap();
    for endpoint in [
        Endpoint::new("https://h", token()).unwrap(),
        Endpoint::new("https://h/a/path/of/some/length", token()).unwrap(),
        Endpoint::builder().token_in_query().build("https://h/a/path/of/some/length", token()).unwrap(),
    ] {
        for len in 1..=PAIR {
            let ids = std::iter::once("a".repeat(len)).chain((0..60).map(|n| format!("{n:0200}")));
            let ids = Selection::Ids(Ids::parse(ids).unwrap());
            let OneStep::Send(request) = BulkDelete::builder(endpoint.clone(), ids).one().poll() else { panic!() };
            let used = request.uri().to_string().len();
            assert!((8_001 - PAIR..=8_000).contains(&used), "{used} bytes with a first id of {len}");
        }
    }
}

/// A request that posts says that it has no body. No other request says anything of one.
#[test]
fn only_a_post_has_a_length() {
    let length = |request: &http::Request<()>| request.headers().get("content-length").cloned();
    let OneStep::Send(resume) = BulkResume::builder(endpoint(), Selection::Everything).one().poll() else { panic!() };
    assert_eq!((resume.method().as_str(), length(&resume)), ("POST", Some("0".parse().unwrap())));
    let OneStep::Send(delete) = BulkDelete::builder(endpoint(), Selection::Everything).one().poll() else { panic!() };
    assert_eq!((delete.method().as_str(), length(&delete)), ("DELETE", None));
    let list = List::everything().to_request(&endpoint()).unwrap();
    assert_eq!((list.method().as_str(), length(&list)), ("GET", None));
}

/// The largest filter with the longest cursor, token and base is still a request.
#[test]
fn the_largest_filter_is_still_a_request() {
    let filter = Filter::builder().label("€".repeat(3_548)).build().unwrap();
    assert!(Filter::builder().label("€".repeat(3_549)).build().is_err());
    // Room for both dates is part of the bound: a window of it is still a filter.
    let ends = (UnixMillis::new(i64::MIN), UnixMillis::new(i64::MIN + 1));
    let filter = filter.into_builder().from(ends.0).to(ends.1).build().unwrap();
    let base = format!("https://h/{}", "p".repeat(1_990));
    let endpoint = Endpoint::builder().token_in_query().build(&base, Token::new("%".repeat(690)).unwrap()).unwrap();
    let mut bulk = BulkDelete::builder(endpoint, Selection::Filter(filter)).one();
    assert!(matches!(bulk.poll(), OneStep::Send(_)));
    let page = format!("{{\"deleted\":1,\"cursor\":\"{}\"}}", "%".repeat(4_096));
    bulk.on_response(&http::Response::new(page)).unwrap();
    assert!(matches!(bulk.poll(), OneStep::Send(_)));
}

#[test]
fn everything_is_sent_only_when_it_was_said() {
    assert_eq!(delete_uri(Selection::Everything), "https://qstash.upstash.io/v2/workflows/dlq?count=100");
    assert!(Filter::builder().build().is_err());
    assert!(Ids::parse(Vec::<String>::new()).is_err());
    assert!(Ids::new(Vec::new()).is_err());
    for json in [
        "{}",
        "null",
        "[]",
        "\"\"",
        r#"{"label":[]}"#,
        r#"{"label":[""]}"#,
        r#"{"label":[" "]}"#,
        r#"{"label":["a,b"]}"#,
        r#"{"label":"a"}"#,
        r#"{"label":["a"],"unknown":1}"#,
        r#"{"label":["a"],"count":1}"#,
        r#"{"fromDate":null}"#,
        r#"{"fromDate":"1"}"#,
        r#"{"fromDate":1.5}"#,
        r#"{"fromDate":2,"toDate":1}"#,
        r#"{"workflowRunId":""}"#,
        r#"{"dlqIds":["a"]}"#,
    ] {
        assert!(serde_json::from_str::<Filter>(json).is_err(), "{json}");
    }
    for json in [r#"{"label":["a"]}"#, r#"{"fromDate":1,"toDate":1}"#, r#"{"fromDate":-1,"label":["é"]}"#] {
        let filter: Filter = serde_json::from_str(json).unwrap();
        assert_eq!(serde_json::to_string(&filter).unwrap(), json);
    }
}

/// Each message takes memory of its own, however short it is: a page holds a bounded number of them.
#[test]
fn a_page_of_millions_is_refused() {
    let page = |n: usize| Response::new(format!("{{\"messages\":[{}{{}}]}}", "{},".repeat(n - 1)));
    assert_eq!(List::everything().parse(&page(10_000)).unwrap().messages.len(), 10_000);
    let error = List::everything().parse(&page(10_001)).unwrap_err().to_string();
    assert!(error.contains("more than 10,000 messages"), "{error}");
}

/// The bound counts both dates at their longest, since a window of the filter has both.
#[test]
fn a_filter_may_be_as_long_as_it_says_and_no_longer() {
    let dates = format!("fromDate={0}&toDate={0}", i64::MIN);
    let left = Filter::MAX_ENCODED_LEN - dates.len() - "&label=".len() - "&".len();
    assert!(Filter::builder().label("x".repeat(left)).build().is_ok());
    // Encoded, a space is as long as a letter, and a percent sign three times as long.
    assert!(Filter::builder().label(format!("x{}x", " ".repeat(left - 2))).build().is_ok());
    assert!(Filter::builder().label("x".repeat(left + 1)).build().is_err());
    assert!(Filter::builder().label(format!("%{}", "x".repeat(left - 2))).build().is_err());
}
