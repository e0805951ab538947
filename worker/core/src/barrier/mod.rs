//! When a barrier has come through every input.
//!
//! Owns: which inputs have delivered the barrier of the epoch that is being aligned.
//! Never: holds rows; the caller does not read an input that is blocked.

#[cfg(test)]
mod tests;

/// What a barrier led to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Alignment {
    /// Other inputs have not delivered this barrier; the input it came from is blocked until they have.
    Waiting,
    /// Every input has delivered it: this is the instant of the epoch, and no input is blocked.
    Aligned,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Channel {
    Open,
    /// Has delivered the barrier that the others still owe.
    Blocked,
    /// Has ended: it owes no barrier.
    Finished,
}

/// Aligns the barriers of an operator's inputs, one epoch at a time.
#[derive(Clone, Debug)]
pub struct BarrierAligner {
    channels: Vec<Channel>,
    /// Open channels: those that owe the barrier while one is being aligned.
    open: u32,
    aligning: Option<u64>,
    last: Option<u64>,
}

impl BarrierAligner {
    /// Of inputs `0..channels`.
    pub fn new(channels: u32) -> Self {
        Self { channels: vec![Channel::Open; channels as usize], open: channels, aligning: None, last: None }
    }

    /// An input delivers the barrier of an epoch.
    ///
    /// Panics if the input is blocked or has ended, or if epochs do not grow or mix: barriers are never lost or
    /// reordered, so that would be a bug of the caller.
    pub fn on_barrier(&mut self, channel: u32, epoch: u64) -> Alignment {
        let state = &mut self.channels[channel as usize];
        assert!(*state == Channel::Open, "channel {channel} delivers barrier {epoch} while {state:?}");
        assert!(self.last < Some(epoch), "epochs only grow: {:?} then {epoch}", self.last);
        let aligning = *self.aligning.get_or_insert(epoch);
        assert!(aligning == epoch, "channel {channel} delivers barrier {epoch} while {aligning} is aligned");
        *state = Channel::Blocked;
        self.open -= 1;
        match self.settle() {
            Some(_) => Alignment::Aligned,
            None => Alignment::Waiting,
        }
    }

    /// An input has ended. If it was the last that owed the barrier, the epoch that is now aligned.
    pub fn on_finished(&mut self, channel: u32) -> Option<u64> {
        let state = &mut self.channels[channel as usize];
        if *state == Channel::Open {
            self.open -= 1;
        }
        *state = Channel::Finished;
        self.settle()
    }

    /// Whether the caller must leave this input alone: what comes next on it belongs after the barrier.
    pub fn is_blocked(&self, channel: u32) -> bool {
        self.channels[channel as usize] == Channel::Blocked
    }

    /// The epoch whose barrier some inputs have delivered and others not.
    pub fn aligning(&self) -> Option<u64> {
        self.aligning
    }

    /// Whether every input has ended.
    pub fn all_finished(&self) -> bool {
        self.channels.iter().all(|state| *state == Channel::Finished)
    }

    /// Ends the alignment if no input owes the barrier any more.
    fn settle(&mut self) -> Option<u64> {
        if self.open > 0 {
            return None;
        }
        let epoch = self.aligning.take()?;
        self.last = Some(epoch);
        for state in &mut self.channels {
            if *state == Channel::Blocked {
                *state = Channel::Open;
                self.open += 1;
            }
        }
        Some(epoch)
    }
}
