//! A client of the agent's socket for test machines, which have none: well-behaved, or not.
//!
//! `peer copies FILE NAME FIRST LAST`: loads copies of a module, which are called `krcu_` and a number.
//! `peer SOCKET lines N`: says hello and prints N lines. `peer SOCKET send`: sends its standard input and prints how many
//! bytes came back before the server hung up. `peer SOCKET crowd ALL DEAF`: so many clients at once, of which some never
//! read; prints how many of the others got a second report and how many were refused.

use std::{
    env,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    os::unix::net::UnixStream,
    process::{Command, ExitCode},
    time::Duration,
};

const HELLO: &[u8] = b"{\"kind\":\"hello\",\"schema\":3,\"detail\":\"all\"}\n";
/// Where a copy of a module lies while it is loaded.
const COPY: &str = "/tmp/copy.ko";
const WITHIN: Duration = Duration::from_secs(60);

fn main() -> ExitCode {
    let words: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        [socket, "lines", lines] => lines.parse().ok().and_then(|lines| print_lines(socket, lines)),
        [socket, "send"] => send(socket),
        ["copies", file, name, first, last] => {
            let numbers = first.parse().ok().zip(last.parse().ok());
            numbers.and_then(|(first, last)| load_copies(file, name, first, last))
        }
        [socket, "crowd", all, deaf] => {
            all.parse().ok().zip(deaf.parse().ok()).and_then(|(all, deaf)| crowd(socket, all, deaf))
        }
        _ => None,
    };
    if done.is_some() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Loads copies of a module, each by another name of the same length.
fn load_copies(file: &str, name: &str, first: u32, last: u32) -> Option<()> {
    let mut bytes = std::fs::read(file).ok()?;
    let is_name = |at: &usize| bytes.get(*at..).is_some_and(|rest| rest.starts_with(name.as_bytes()));
    let places: Vec<usize> = (0..bytes.len()).filter(is_name).collect();
    for number in first..=last {
        let copy = format!("krcu_{number}");
        if copy.len() != name.len() {
            return None;
        }
        for at in &places {
            bytes.get_mut(*at..*at + copy.len())?.copy_from_slice(copy.as_bytes());
        }
        std::fs::write(COPY, &bytes).ok()?;
        if !Command::new("insmod").arg(COPY).status().ok()?.success() {
            return None;
        }
    }
    std::fs::remove_file(COPY).ok()
}

fn connect(socket: &str) -> Option<UnixStream> {
    let stream = UnixStream::connect(socket).ok()?;
    stream.set_read_timeout(Some(WITHIN)).ok()?;
    Some(stream)
}

fn print_lines(socket: &str, lines: usize) -> Option<()> {
    let mut stream = connect(socket)?;
    stream.write_all(HELLO).ok()?;
    for line in BufReader::new(stream).lines().take(lines) {
        println!("{}", line.ok()?);
    }
    Some(())
}

fn send(socket: &str) -> Option<()> {
    let mut stream = connect(socket)?;
    let mut bytes = Vec::new();
    std::io::stdin().read_to_end(&mut bytes).ok()?;
    // It may hang up before it has read all.
    let _ = stream.write_all(&bytes);
    let mut back = Vec::new();
    let _ = stream.read_to_end(&mut back);
    println!("{}", back.len());
    Some(())
}

fn crowd(socket: &str, all: usize, deaf: usize) -> Option<()> {
    let mut clients = Vec::new();
    for _ in 0..all {
        let mut stream = connect(socket)?;
        // One that was refused may be gone already.
        let _ = stream.write_all(HELLO);
        clients.push(stream);
    }
    let (mut served, mut refused) = (0, 0);
    for stream in clients.iter().skip(deaf) {
        let mut reports = 0;
        for line in BufReader::new(stream.try_clone().ok()?).lines() {
            let Ok(line) = line else { break };
            refused += usize::from(line.contains("\"refused\""));
            reports += usize::from(line.contains("\"report\""));
            if reports == 2 {
                served += 1;
                break;
            }
        }
    }
    println!("{served} {refused}");
    Some(())
}
