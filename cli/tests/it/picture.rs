//! The picture of the README: what the demo prints, as SVG without another library. `DLQ_BLESS=1 cargo test -p upstash-dlq picture` draws it anew.

use crate::common::{command, text};
use crate::pages;
use std::fmt::Write;

const PICTURE: &str = "docs/demo.svg";
/// The width of the terminal in it, in cells.
const COLUMNS: usize = 100;
/// How wide a cell is, in pixels.
const CELL: f64 = 8.4;
/// How high a line is, in pixels.
const LINE: f64 = 19.0;
const LEFT: f64 = 18.0;
const TOP: f64 = 52.0;

const STYLE: &str = "\
text{font:14px ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace;white-space:pre;fill:#24292f}\
.ground{fill:#f6f8fa;stroke:#d0d7de}.title{font-weight:600}.command{fill:#0550ae}.name{fill:#953800}\
@media(prefers-color-scheme:dark){text{fill:#e6edf3}.ground{fill:#0d1117;stroke:#30363d}.command{fill:#79c0ff}\
.name{fill:#ffa657}}";

fn demo() -> String {
    let output = command("").args(["demo"]).env("COLUMNS", COLUMNS.to_string()).env_remove("TMPDIR").output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    text(&output.stdout)
}

/// What the picture shows of it: all but the first step, a table that says little to those who do not know its runs.
fn excerpt(shown: &str) -> String {
    let (first, rest) = shown.split_once("\n\n1. ").unwrap();
    let (_, rest) = rest.split_once("\n\n").unwrap();
    format!("{first}\n…\n\n{rest}")
}

/// Lines that are too long go on in the next one, under their own beginning.
fn wrapped(line: &str) -> Vec<String> {
    let text = line.trim_start();
    let indent = &line[..line.len() - text.len()];
    let mut lines = vec![indent.to_owned()];
    for (at, word) in text.split(' ').enumerate() {
        let last = lines.last_mut().unwrap();
        if last.chars().count() + 1 + word.chars().count() > COLUMNS {
            lines.push(format!("{indent}{word}"));
        } else {
            *last += &format!("{}{word}", if at == 0 { "" } else { " " });
        }
    }
    lines
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// The parts of a line, each with its class.
fn parts(line: &str) -> Vec<(&'static str, &str)> {
    let begins_step = line.starts_with(|c: char| c.is_ascii_digit()) && line.get(1..3) == Some(". ");
    if begins_step {
        return vec![("title", line)];
    }
    if let Some(at) = line.find("$ upstash-dlq") {
        let (indent, command) = line.split_at(at);
        return vec![("", indent), ("command", command)];
    }
    match line.find("  e1-") {
        Some(at) => {
            let (count, rest) = line.split_at(at + 2);
            let (name, when) = rest.split_at(rest.find(' ').unwrap_or(rest.len()));
            vec![("", count), ("name", name), ("", when)]
        }
        None => vec![("", line)],
    }
}

fn drawn(shown: &str) -> String {
    let lines: Vec<String> = shown.lines().flat_map(wrapped).collect();
    let width = 2.0 * LEFT + CELL * COLUMNS as f64;
    let height = TOP + LINE * lines.len() as f64;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" role=\"img\">\n\
         <title>What upstash-dlq demo prints</title>\n<style>{STYLE}</style>\n\
         <rect class=\"ground\" x=\"0.5\" y=\"0.5\" width=\"{}\" height=\"{}\" rx=\"8\"/>\n",
        width - 1.0,
        height - 1.0
    );
    for (colour, x) in ["#ff5f57", "#febc2e", "#28c840"].iter().zip([22, 42, 62]) {
        writeln!(svg, "<circle cx=\"{x}\" cy=\"20\" r=\"6\" fill=\"{colour}\"/>").unwrap();
    }
    writeln!(svg, "<text x=\"90\" y=\"25\" class=\"command\">$ upstash-dlq demo</text>").unwrap();
    for (row, line) in lines.iter().enumerate() {
        let y = TOP + LINE * row as f64;
        let mut before = 0;
        for (class, part) in parts(line) {
            let x = LEFT + CELL * before as f64;
            before += part.chars().count();
            if !part.trim().is_empty() {
                let class = if class.is_empty() { String::new() } else { format!(" class=\"{class}\"") };
                writeln!(svg, "<text x=\"{x:.1}\" y=\"{y}\"{class} xml:space=\"preserve\">{}</text>", escaped(part))
                    .unwrap();
            }
        }
    }
    svg + "</svg>\n"
}

/// The words that a picture shows, without its first line, which is the prompt.
fn words_of_picture(svg: &str) -> Vec<String> {
    let texts = svg.lines().filter(|line| line.starts_with("<text ")).skip(1);
    let plain = texts.filter_map(|line| line.strip_suffix("</text>")?.split_once('>'));
    let lines = plain.map(|(_, text)| text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&"));
    lines.flat_map(|line| words(&line)).collect()
}

/// What is different each time has a digit in it, or is the path of a temporary folder.
fn words(shown: &str) -> Vec<String> {
    let varies = |word: &&str| word.starts_with('/') || word.contains(|c: char| c.is_ascii_digit());
    shown.split_whitespace().map(|word| if varies(&word) { "#".to_owned() } else { word.to_owned() }).collect()
}

#[test]
fn the_picture_shows_what_the_demo_prints() {
    let Some(root) = pages::root("the_picture_shows_what_the_demo_prints") else { return };
    let shown = excerpt(&demo());
    if std::env::var_os("DLQ_BLESS").is_some() {
        std::fs::write(root.join(PICTURE), drawn(&shown)).unwrap();
    }
    let picture = pages::read(&root, PICTURE);
    assert!(words(&shown).len() > 150, "{shown}");
    assert_eq!(words_of_picture(&picture), words(&shown), "the demo prints something else than {PICTURE} shows");
}
