//! Causes that were planted are found again: pairs of failures have the same signature if, and only if, they have the same
//! cause. The ids are as random as real ones, so that some of them look like words.

use super::{failed, failed_in_base64, sdk_error};
use std::collections::BTreeSet;
use upstash_dlq_core::model::Signature;

const CAUSES: usize = 200;
const TEXTS: usize = 20;

const NOUNS: [&str; 24] = [
    "order",
    "customer",
    "invoice",
    "payment",
    "shipment",
    "product",
    "cart",
    "coupon",
    "session",
    "tenant",
    "webhook",
    "document",
    "embedding",
    "subscription",
    "refund",
    "address",
    "warehouse",
    "ticket",
    "campaign",
    "recipient",
    "attachment",
    "schedule",
    "partition",
    "account",
];
const TEMPLATES: [&str; 31] = [
    "Cannot read properties of undefined (reading '{noun}')",
    "{noun}.map is not a function",
    "{noun} {id} not found",
    "{noun} '{id}' not found in {other} {uuid}",
    "connect ECONNREFUSED {ip}:{port}, {noun} service",
    "getaddrinfo ENOTFOUND {noun}.internal.example.com",
    "timeout of {n}ms exceeded while waiting for the {noun}",
    "Rate limit reached for {noun} in organization {token}: limit {n}, used {n}. Try again in {n}s.",
    "duplicate key value violates unique constraint \"{noun}_pkey\" Detail: Key (id)=({n}) already exists.",
    "insert or update on table \"{noun}\" violates foreign key constraint for {other} {uuid}",
    "Request failed with status code {n} for https://api.example.com/{noun}/{id}?key={token}&at={n}",
    "invalid input syntax for type uuid: \"{id}\" in {noun}",
    "validation failed: {noun}.{other} must be a positive number, got -{n}",
    "The {noun} {uuid} was locked by user{n} at {time}",
    "Unexpected token < in JSON at position {n} of the {noun}",
    "could not send the {noun} to {mail}: mailbox full",
    "could not send the {noun} to {mail}: blocked by policy",
    "ENOENT: no such file or directory, open '/var/task/{noun}/{hex}.json'",
    "Cannot find module './chunks/{hex}.js' required from /srv/{noun}/index.js:{n}:{n}",
    "insufficient funds on {noun} {token} for {other} of {n}.{n} EUR",
    "signature of the {noun} does not match: expected {hex}, got {hex}",
    "token {jwt} has expired for the {noun}",
    "deadlock detected: process {n} waits for ShareLock on transaction {n}; {noun} and {other}",
    "{noun} pod checkout-{hex}-{pod} was evicted on {date}",
    "no {noun} within [{n}, {n}, {n}]",
    "step \"{noun}\" exceeded its limit of {n} bytes by {n}",
    "upstream {ip} sent too big header while reading the {noun}",
    "Model gpt refused the {noun}: {n} tokens are more than the {other} allows",
    "read ECONNRESET after {time} on the {noun} socket {n}",
    "FUNCTION_TIMEOUT of the {noun} fra1::{trace}",
    "{noun} at https://{other}.example.com:{port}/hooks/{uuid} answered {n}",
];
const NAMES: [&str; 8] = [
    "Error",
    "TypeError",
    "FetchError",
    "ValidationError",
    "TimeoutError",
    "DatabaseError",
    "WorkflowError",
    "AxiosError",
];

/// The same numbers every time.
struct Random(u64);

impl Random {
    fn next(&mut self) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) >> 16) as usize
    }

    fn letters(&mut self, of: &str, n: usize) -> String {
        let letters: Vec<char> = of.chars().collect();
        (0..n).map(|_| letters[self.next() % letters.len()]).collect()
    }

    fn number(&mut self) -> usize {
        let digits = 1 + self.next() % 7;
        self.next() % 10_usize.pow(u32::try_from(digits).unwrap())
    }

    /// A value for what varies. What it says of a kind is drawn as such values are drawn in the world.
    fn value(&mut self, kind: &str) -> String {
        const HEX: &str = "0123456789abcdef";
        const ALNUM: &str = "abcdefghijklmnopqrstuvwxyz0123456789";
        const ALL: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
        match kind {
            "n" | "port" => self.number().to_string(),
            "hex" => self.letters(HEX, 10),
            "pod" => self.letters("bcdfghjklmnpqrstvwxz2456789", 5),
            // All letters in one of five.
            "trace" => [self.letters(ALNUM, 5), self.letters("0123456789", 13), self.letters(HEX, 12)].join("-"),
            "uuid" => [8, 4, 4, 4, 12].map(|n| self.letters(HEX, n)).join("-"),
            "ulid" => self.letters("0123456789abcdefghjkmnpqrstvwxyz", 26),
            "nano" => self.letters(&format!("{ALL}_-"), 21),
            "object" => self.letters(HEX, 24),
            "token" => self.letters(&format!("{ALL}+/"), 40) + "==",
            "jwt" => format!(
                "eyJ{}.{}.{}",
                self.letters(ALL, 33),
                self.letters(ALL, 60),
                self.letters(&format!("{ALL}-_"), 43)
            ),
            "ip" => (0..4).map(|_| (self.next() % 256).to_string()).collect::<Vec<_>>().join("."),
            "mail" => {
                format!("{}@{}.example.com", self.letters("abcdefgh.", 7).replace('.', "x"), self.letters("abcdef", 5))
            }
            "time" => format!(
                "2026-{:02}-{:02}T{:02}:{:02}:{:02}Z",
                1 + self.next() % 12,
                1 + self.next() % 28,
                self.next() % 24,
                self.next() % 60,
                self.next() % 60
            ),
            "date" => {
                let day = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"][self.next() % 7];
                let month = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
                    [self.next() % 12];
                format!("{day} {month} {:02} 2026", 1 + self.next() % 28)
            }
            other => panic!("{other}"),
        }
    }

    fn fill(&mut self, template: &str) -> String {
        let mut parts = template.split('{');
        let mut out = parts.next().unwrap().to_owned();
        for part in parts {
            let (kind, text) = part.split_once('}').unwrap();
            out += &self.value(kind);
            out += text;
        }
        out
    }
}

/// A cause: status, form of the body, name, and a message with what varies in braces.
fn causes(random: &mut Random) -> BTreeSet<(u16, usize, &'static str, String)> {
    let mut causes = BTreeSet::new();
    while causes.len() < CAUSES {
        let template = TEMPLATES[random.next() % TEMPLATES.len()];
        let noun = NOUNS[random.next() % NOUNS.len()];
        let other = NOUNS[random.next() % NOUNS.len()];
        let form = random.next() % 6;
        // Only some forms have a name.
        let name = if form < 3 { NAMES[random.next() % NAMES.len()] } else { "" };
        let status = [500, 502, 504, 429, 400][random.next() % 5];
        let id = ["ord_{ulid}", "{nano}", "{object}", "{n}", "ord-{n}", "{uuid}"][random.next() % 6];
        let text = template.replace("{noun}", noun).replace("{other}", other).replace("{id}", id);
        // One cause is one cause in whatever form it is told.
        if !causes
            .iter()
            .any(|(s, _, n, t): &(u16, usize, &str, String)| (*s, *n, t.as_str()) == (status, name, text.as_str()))
        {
            causes.insert((status, form, name, text));
        }
    }
    causes
}

#[test]
fn planted_causes_are_found_again() {
    let mut random = Random(7);
    let mut texts: Vec<(usize, Signature, String)> = Vec::new();
    for (cause, (status, form, name, template)) in causes(&mut random).into_iter().enumerate() {
        for _ in 0..TEXTS {
            let text = random.fill(&template);
            let stack = random.fill("at f (/srv/app/{hex}.js:{n}:{n})\n    at g (node:internal/{n})");
            let message = match form {
                0 | 1 => failed(status, &sdk_error(name, &text, &stack)),
                2 => failed_in_base64(status, sdk_error(name, &text, &stack).as_bytes()),
                3 => failed(status, &format!("{text}\n    {stack}")),
                4 => failed(status, &serde_json::json!({ "error": { "message": text } }).to_string()),
                _ => failed(status, &format!("<html><body><h1>Oops</h1><p>{text}</p></body></html>")),
            };
            texts.push((cause, message.signature(), text));
        }
    }
    let (mut both, mut same_cause, mut same_signature) = (0_u64, 0_u64, 0_u64);
    let mut shown = 0;
    for (at, (cause, signature, text)) in texts.iter().enumerate() {
        for (other_cause, other_signature, other) in &texts[at + 1..] {
            let (one, two) = (cause == other_cause, signature == other_signature);
            same_cause += u64::from(one);
            same_signature += u64::from(two);
            both += u64::from(one && two);
            // One of many pairs of one text is enough.
            if one != two && shown < 20 && at % 20 == 0 {
                shown += 1;
                println!("{}\n  {text}\n  {other}", if two { "taken for one cause" } else { "taken for two causes" });
            }
        }
    }
    let (precision, recall) = (both as f64 / same_signature as f64, both as f64 / same_cause as f64);
    println!("{} texts, {same_cause} pairs of one cause: precision {precision:.4}, recall {recall:.4}", texts.len());
    assert_eq!(same_cause, (CAUSES * TEXTS * (TEXTS - 1) / 2) as u64);
    assert!(precision >= 0.99 && recall >= 0.99, "precision {precision:.4}, recall {recall:.4}");
}
