//! From a function and the type of its input to what computes it.
//!
//! Owns: the only match over functions and types; from here on both are compiled in.
//! Never: computes.

use arrow::datatypes::DataType;

use super::accumulator::Accumulator;
use super::count::Count;
use super::distinct::{Distinct, Numbers, Strings};
use super::edge::Edge;
use super::extreme::Extreme;
use super::layout::Layout;
use super::slot::{Fixed, Slot, Text};
use super::spec::{Kind, kind_of};
use super::sum::{Avg, Sum};
use super::total::{Decimals, Floats, Integers, scale_of};
use super::value::Value;
use super::{AggregateError, AggregateSpec, Function};

/// The accumulator of an aggregate whose output type is known.
pub(super) fn accumulator(
    layout: &mut Layout,
    spec: &AggregateSpec,
    output: &DataType,
) -> Result<Box<dyn Accumulator>, AggregateError> {
    let Some((_, input)) = &spec.input else {
        return Ok(Box::new(Count::place(layout)));
    };
    let undefined = || spec.undefined(input);
    match spec.function {
        Function::Count => Ok(Box::new(Count::place(layout))),
        Function::Sum => sum(layout, input, output).ok_or_else(undefined),
        Function::Avg => avg(layout, input, output).ok_or_else(undefined),
        Function::Min | Function::Max | Function::First | Function::Last => {
            let kind = kind_of(input).ok_or_else(undefined)?;
            Ok(kept(layout, spec.function, kind, input))
        }
        Function::CountDistinct => Ok(distinct(layout, kind_of(input).ok_or_else(undefined)?, input)),
    }
}

fn sum(layout: &mut Layout, input: &DataType, output: &DataType) -> Option<Box<dyn Accumulator>> {
    let output = output.clone();
    match kind_of(input)? {
        Kind::Int32 => Some(Box::new(Sum::<i32, Integers>::place(layout, input, output))),
        Kind::Int64 => Some(Box::new(Sum::<i64, Integers>::place(layout, input, output))),
        Kind::Float32 => Some(Box::new(Sum::<f32, Floats>::place(layout, input, output))),
        Kind::Float64 => Some(Box::new(Sum::<f64, Floats>::place(layout, input, output))),
        Kind::Decimal => Some(Box::new(Sum::<i128, Decimals>::place(layout, input, output))),
        Kind::Boolean | Kind::String => None,
    }
}

fn avg(layout: &mut Layout, input: &DataType, output: &DataType) -> Option<Box<dyn Accumulator>> {
    let result = output.clone();
    match kind_of(input)? {
        Kind::Int32 => Some(Box::new(Avg::<i32, Integers>::place(layout, input, result, 0))),
        Kind::Int64 => Some(Box::new(Avg::<i64, Integers>::place(layout, input, result, 0))),
        Kind::Float32 => Some(Box::new(Avg::<f32, Floats>::place(layout, input, result, 0))),
        Kind::Float64 => Some(Box::new(Avg::<f64, Floats>::place(layout, input, result, 0))),
        Kind::Decimal => {
            let more = u32::try_from(scale_of(output) - scale_of(input));
            let more = more.expect("a mean has no fewer digits than its input");
            Some(Box::new(Avg::<i128, Decimals>::place(layout, input, result, more)))
        }
        Kind::Boolean | Kind::String => None,
    }
}

fn kept(layout: &mut Layout, function: Function, kind: Kind, input: &DataType) -> Box<dyn Accumulator> {
    match kind {
        Kind::Int32 => kept_in::<Fixed<i32>>(layout, function, input),
        Kind::Int64 => kept_in::<Fixed<i64>>(layout, function, input),
        Kind::Float32 => kept_in::<Fixed<f32>>(layout, function, input),
        Kind::Float64 => kept_in::<Fixed<f64>>(layout, function, input),
        Kind::Decimal => kept_in::<Fixed<i128>>(layout, function, input),
        Kind::Boolean => kept_in::<Fixed<bool>>(layout, function, input),
        Kind::String => kept_in::<Text>(layout, function, input),
    }
}

fn kept_in<S: Slot>(layout: &mut Layout, function: Function, input: &DataType) -> Box<dyn Accumulator> {
    match function {
        Function::Min => Box::new(Extreme::<S, false>::place(layout, input)),
        Function::Max => Box::new(Extreme::<S, true>::place(layout, input)),
        Function::First => Box::new(Edge::<S, false>::place(layout, input)),
        Function::Last => Box::new(Edge::<S, true>::place(layout, input)),
        Function::Count | Function::Sum | Function::Avg | Function::CountDistinct => {
            unreachable!("{function} keeps no single value")
        }
    }
}

fn distinct(layout: &mut Layout, kind: Kind, input: &DataType) -> Box<dyn Accumulator> {
    match kind {
        Kind::Int32 => numbers::<i32>(layout, input),
        Kind::Int64 => numbers::<i64>(layout, input),
        Kind::Float32 => numbers::<f32>(layout, input),
        Kind::Float64 => numbers::<f64>(layout, input),
        Kind::Decimal => numbers::<i128>(layout, input),
        Kind::Boolean => numbers::<bool>(layout, input),
        Kind::String => Box::new(Distinct::<Strings>::place(layout, input)),
    }
}

fn numbers<V: Value>(layout: &mut Layout, input: &DataType) -> Box<dyn Accumulator> {
    Box::new(Distinct::<Numbers<V>>::place(layout, input))
}
