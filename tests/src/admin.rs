//! What a running job serves over HTTP.
//!
//! Owns: finding its address in what the job says, and asking.
//! Never: waits longer than a few seconds for an answer.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::process::Running;

const ANSWER: Duration = Duration::from_secs(10);

/// The address of a job that was started with `--admin 127.0.0.1:0`.
pub fn address(running: &Running) -> Result<String> {
    let line = running.wait_for_line("admin=", Duration::from_secs(60))?;
    let address = line.split("admin=").nth(1).and_then(|at| at.split('"').nth(1));
    Ok(address.context(line.clone())?.to_owned())
}

/// The whole answer to a GET.
pub fn get(address: &str, path: &str) -> Result<String> {
    let mut stream = TcpStream::connect(address).context(address.to_owned())?;
    stream.set_read_timeout(Some(ANSWER))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: job\r\nConnection: close\r\n\r\n")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text)
}
