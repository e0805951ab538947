//! How a counterexample is told.
//!
//! Owns: the words.
//! Never: decides anything.

use crate::protocol::{Action, Answer};

/// Which step was taken: enough to tell the story of a counterexample.
#[derive(Clone, Copy, Debug)]
pub(super) enum Label {
    Landed,
    Crashed(usize),
    CrashedInRequest(usize),
    Started(usize),
    Asked { process: usize, what: &'static str, answer: &'static str },
    Did(usize, &'static str),
}

impl std::fmt::Display for Label {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Landed => f.write_str("a late request lands"),
            Self::Crashed(process) => write!(f, "{process} crashes"),
            Self::CrashedInRequest(process) => write!(f, "{process} crashes, its request may still land"),
            Self::Started(process) => write!(f, "{process} starts"),
            Self::Asked { process, what, answer } => write!(f, "{process} asks: {what}? {answer}"),
            Self::Did(process, what) => write!(f, "{process} {what}"),
        }
    }
}

pub(super) fn name_of(action: &Action) -> &'static str {
    match action {
        Action::List(_) => "list",
        Action::AnyData | Action::ListData => "list data",
        Action::Get(_) => "get",
        Action::Create(_) => "create",
    }
}

pub(super) fn name_of_answer(answer: &Answer) -> &'static str {
    match answer {
        Answer::Listed(_) | Answer::Data(_) | Answer::Objects(_) => "listed",
        Answer::Got(_) => "got",
        Answer::Absent => "absent",
        Answer::Created => "created",
        Answer::Exists => "exists",
        Answer::Unknown => "unknown",
    }
}
