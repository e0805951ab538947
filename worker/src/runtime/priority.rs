//! Which threads wait for which.
//!
//! Owns: the priority of the threads that work beside the slots.
//! Never: touches a slot's.

#![allow(unsafe_code)]

/// How much they give way. Of a core that a slot could use all of they have a quarter (`sched(7)`: weights 335 and
/// 1024), so that checkpoints go on where every core has a slot.
const NICE: i32 = 5;

/// The calling thread gives way to the slots from now on, and so does what it starts: otherwise a slot that shares its
/// core with one that encodes a checkpoint is put aside for several milliseconds at a time.
pub(super) fn give_way() {
    // SAFETY: no memory is touched. On Linux the id 0 is the calling thread's; what it says is of no use: less priority
    // is always granted.
    unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, NICE) };
}
