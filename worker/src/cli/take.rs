//! `streamjob savepoint take`: asks the running job for a savepoint.
//!
//! Owns: what is said while it waits, and when nobody listens.
//! Never: copies anything: the running job does.

use std::io::Write;

use super::Exit;
use super::args::TakeArgs;

/// Asks, waits, and prints where the savepoint lies.
pub(super) fn take(_args: &TakeArgs, _out: &mut impl Write, _err: &mut impl Write) -> Exit {
    Exit::Failed
}
