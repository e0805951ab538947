//! Standard error, shared by log lines and the live block.
//!
//! Owns: the block; lines are printed above it.
//! Never: mixes the two.

use std::io::{self, Write};
use std::sync::Arc;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Standard error with a block at its bottom that can be redrawn. Clones share it.
#[derive(Clone, Debug)]
pub struct Screen {
    block: Arc<ProgressBar>,
}

impl Screen {
    /// A screen without a block; as long as nothing is drawn it is plain standard error.
    pub fn new() -> Self {
        let block = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        block.set_style(ProgressStyle::with_template("{msg}").expect("the template is constant"));
        Self { block: Arc::new(block) }
    }

    /// Draws the block in place of the last one.
    pub(crate) fn draw(&self, text: &str) {
        self.block.set_message(text.to_owned());
        self.block.tick();
    }

    /// Takes the block away.
    pub(crate) fn clear(&self) {
        self.block.finish_and_clear();
    }
}

impl Default for Screen {
    fn default() -> Self {
        Self::new()
    }
}

impl Write for Screen {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        self.block.suspend(|| io::stderr().write_all(text)).map(|()| text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}
