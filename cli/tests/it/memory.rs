//! What the largest page that is read costs in memory, whatever stands in it.
#![cfg(target_os = "linux")]

use crate::common::command;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::process::Stdio;
use std::sync::mpsc::channel;

const MIB: usize = 1024 * 1024;

/// As long as a page may be.
fn page(message: &str, part: &str, end: &str) -> String {
    let (head, tail) =
        (format!("{{\"messages\":[{{\"dlqId\":\"a\",\"createdAt\":1764000000000,{message}"), "}],\"cursor\":\"c\"}");
    let parts = (16 * MIB - head.len() - end.len() - tail.len()) / part.len();
    let body = part.repeat(parts);
    format!("{head}{}{end}{tail}", body.trim_end_matches(','))
}

/// The most memory that the command has held when it asks for the page after this one, in bytes.
fn peak(args: &[&str], page: &str) -> usize {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let mut child = command(&url).args(args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let status = format!("/proc/{}/status", child.id());
    let (sender, peaks) = channel();
    let page = page.to_owned();
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            let mut connection = connection.unwrap();
            let mut reader = BufReader::new(connection.try_clone().unwrap());
            let mut request = String::new();
            while reader.read_line(&mut request).unwrap_or(0) > 0 {
                if !request.ends_with("\r\n\r\n") {
                    continue;
                }
                let next = request.contains("cursor=");
                if next {
                    sender.send(std::fs::read_to_string(&status).unwrap()).unwrap();
                }
                request.clear();
                let body = if next { "{\"messages\":[]}" } else { &page };
                let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
                connection.write_all(&[head.as_bytes(), body.as_bytes()].concat()).unwrap();
            }
        }
    });
    assert!(child.wait().unwrap().success(), "{args:?}");
    let status = peaks.recv().unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
}

#[test]
fn the_largest_page_takes_at_most_four_times_its_bytes() {
    for (shape, page) in [
        ("a list of numbers", page("\"body\":[", "0,", "]")),
        ("a list of labels", page("\"labels\":[", "\"a\",", "]")),
        ("objects in objects", page("\"header\":{\"a\":[", "{\"b\":0},", "]}")),
    ] {
        for args in [&["list", "--json"][..], &["stats", "--quiet"]] {
            let peak = peak(args, &page);
            assert!(peak < 4 * 16 * MIB, "{args:?}: {} MiB for {shape}", peak / MIB);
        }
    }
}
