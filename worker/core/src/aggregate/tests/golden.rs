//! The bytes of the durable form, pinned.
//!
//! Owns: the golden text, one line for each buffer.
//! Never: changes without a new `STATE_VERSION`.

use std::fmt::Write;

use arrow::array::{Array, ArrayData};

use super::model::column;
use super::{Rows, column_types, fed, specs};
use crate::aggregate::AggregateSpec;

#[test]
fn the_bytes_of_the_durable_form_are_those_of_version_1() {
    let seeds = [Some(40), None, Some(1), Some(90), Some(40), Some(5)];

    let mut text = format!("state version {}\n", AggregateSpec::STATE_VERSION);
    for data_type in column_types() {
        for spec in specs(0, &data_type) {
            let mut one = fed(spec.clone(), column(&data_type, &seeds));
            let mut both = Rows::new(&one.aggregates, 2);
            both.merge_states(&[1], &one.states(), 0);
            describe(&mut text, &spec, &mut both);
        }
    }

    let golden = include_str!("golden.txt");
    assert!(text == golden, "the durable form has changed; it is now\n{text}");
}

/// The first row has had no input, the second has had that of the test.
fn describe(text: &mut String, spec: &AggregateSpec, rows: &mut Rows) {
    let (_, input) = spec.input.as_ref().expect("all have an input here");
    writeln!(text, "{} of {input}", spec.function).expect("a string takes all");
    for (field, state) in spec.state_fields().expect("defined").iter().zip(rows.states()) {
        writeln!(text, "  {} {}", field.name(), field.data_type()).expect("a string takes all");
        buffers(text, &state.to_data());
    }
}

fn buffers(text: &mut String, data: &ArrayData) {
    let valid = data.nulls().map(|nulls| nulls.iter().map(u8::from).collect::<Vec<_>>());
    writeln!(text, "    {} entries, valid {valid:?}", data.len()).expect("a string takes all");
    for buffer in data.buffers() {
        let hex: String = buffer.iter().map(|byte| format!("{byte:02x}")).collect();
        writeln!(text, "    {hex}").expect("a string takes all");
    }
    for child in data.child_data() {
        buffers(text, child);
    }
}
