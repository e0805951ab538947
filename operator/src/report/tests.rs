//! Messages as people read them; the runbook has a part for each.

use std::path::Path;

use streamjob_crds::Reason;

use super::message::{with_remedy, without_remedy};
use crate::world::Trouble;

/// Reasons that a condition can be False or Stalled for: they come with a command.
fn with_commands() -> impl Iterator<Item = Reason> {
    Reason::ALL.iter().copied().filter(|reason| reason.remedy().is_some())
}

#[test]
fn every_trouble_is_told_with_a_command_and_a_part_of_the_runbook() {
    let told: Vec<String> = with_commands()
        .map(|reason| {
            with_remedy(&Trouble { reason, message: format!("{reason} happened.") }, "shop", "orders")
        })
        .collect();

    insta::assert_snapshot!(told.join("\n"));
}

#[test]
fn the_remedy_can_be_taken_off_again() {
    for reason in with_commands() {
        let trouble =
            Trouble { reason, message: "The pod `a` has no node: 0/3 nodes. To do: more.".to_owned() };

        assert_eq!(without_remedy(&with_remedy(&trouble, "shop", "orders")), trouble.message);
    }
}

/// What the runbook says about a reason.
fn part_of(reason: Reason) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/runbook.md");
    let runbook = std::fs::read_to_string(path).expect("docs/runbook.md is there");
    let title = format!("\n## {}\n", reason.anchor());
    let part = runbook.split(&title).nth(1).unwrap_or_else(|| panic!("no part `{}`", reason.anchor()));
    part.split("\n## ").next().expect("there is a beginning").to_owned()
}

#[test]
fn a_remedy_that_is_an_edit_says_of_which_field() {
    for reason in with_commands().filter(|reason| reason.remedy().is_some_and(|text| text.contains(" edit ")))
    {
        let part = part_of(reason);
        let to_do = part.lines().find(|line| line.starts_with("- Do: ")).expect("there is something to do");
        let is_named = to_do.contains('`') || part.contains("The message names");

        // Its own part is the one of another reason.
        assert!(is_named || reason == Reason::NotAccepted, "{reason}: {to_do}");
    }
}

#[test]
fn the_runbook_has_a_part_and_a_command_for_every_reason_with_a_remedy() {
    for reason in with_commands() {
        let part = part_of(reason);
        assert!(part.contains(reason.remedy().expect("it has one")), "{reason}: another command");
        assert!(part.contains("- Look at: ") && part.contains("- Do: "), "{reason}");
    }
}
