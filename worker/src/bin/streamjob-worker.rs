//! The worker on a cluster.
//!
//! Owns: the process: its allocator and its exit code.
//! Never: does more than call [`streamjob_worker::pod`].

#![forbid(unsafe_code)]

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    streamjob_worker::pod::main()
}
