//! Good manifests: they are read, and come back the same.
//!
//! Owns: that what another YAML reader sees in a good manifest is what we see.
//! Never: checks what a job does.

use super::{FILES, GENERATOR, KAFKA, edited, parse};
use crate::{FieldError, Manifest, Overflow, StreamJob};

#[test]
fn a_good_manifest_comes_back_the_same_from_what_it_is_written_as() {
    for text in [FILES, GENERATOR, KAFKA] {
        let job = parse(text).expect("the base manifests are good");

        let json = serde_json::to_string_pretty(&job).expect("a job can be written");
        let yaml = serde_yaml::to_string(&job).expect("a job can be written");

        assert_eq!(parse(&json).expect("JSON is YAML"), job);
        assert_eq!(parse(&yaml).expect("what serde writes can be read"), job);
    }
}

#[test]
fn another_yaml_reader_sees_the_same_job() {
    // An unquoted `Null` is null to other readers.
    for text in
        [edited(FILES, "overflow: Null", "overflow: \"Null\""), GENERATOR.to_owned(), KAFKA.to_owned()]
    {
        let other: StreamJob = serde_yaml::from_str(&text).expect("the base manifests are good YAML");

        assert_eq!(parse(&text).expect("the base manifests are good"), other);
    }
}

#[test]
fn overflow_null_is_a_name_with_and_without_quotes() {
    for text in [FILES.to_owned(), edited(FILES, "overflow: Null", "overflow: 'Null'")] {
        let job = parse(&text).expect("the base manifests are good");

        assert_eq!(job.spec.pipeline.aggregates[1].overflow, Some(Overflow::Null));
    }
}

#[test]
fn a_column_made_of_nothing_and_a_null_choice_are_kept() {
    let job = parse(GENERATOR).expect("the base manifests are good");

    let columns = &job.spec.pipeline.source.generator.as_ref().expect("it has a generator").columns;
    let choice = columns[3].choice.as_ref().expect("it has a choice");
    assert_eq!(choice.values, [Some("phone".to_owned()), None]);
}

#[test]
fn frames_comments_aliases_and_a_byte_order_mark_change_nothing() {
    let framed = format!("\u{feff}# a job\n---\n{FILES}...\n---\n");
    let windows = FILES.replace('\n', "\r\n");
    let aliased = edited(FILES, "keyBy: [page]", "keyBy: [&key page]");
    let aliased = edited(&aliased, "function: Count}", "function: Count, field: *key}");

    let job = parse(FILES).expect("the base manifests are good");
    assert_eq!(parse(&framed).expect("a framed document is good"), job);
    assert_eq!(parse(&windows).expect("any line end is good"), job);
    let counted = parse(&aliased).expect("an alias is good").spec.pipeline.aggregates[0].field.clone();
    assert_eq!(counted.as_deref(), Some("page"));
}

#[test]
fn a_mistake_found_later_gets_its_line() {
    let manifest = Manifest::parse(FILES, "job.yaml").expect("the base manifests are good");

    let errors = manifest.locate(&[
        FieldError::new("spec.pipeline.transforms[1].flatMap.expr", "no function `string_to_array`"),
        FieldError::new("spec.pipeline.aggregates[1].function.inner", "not there"),
        FieldError::new("spec.pipeline.window", "too wide"),
    ]);

    insta::assert_snapshot!(errors);
}

#[test]
fn the_smallest_and_the_greatest_values_of_checkpoints_are_good() {
    for checkpoint in [
        "{interval: 50ms, timeout: 51ms, retain: 1}",
        "{interval: 9m59s999ms, retain: 1000}",
        "{timeout: 11s}",
        "{interval: 99999h, timeout: 99999h1ms}",
        "{}",
    ] {
        let text = edited(FILES, "{interval: 5s, timeout: 2m, retain: 4}", checkpoint);

        assert_eq!(parse(&text).err(), None, "{checkpoint}");
    }
    let urls = [
        "s3://streams/prod",
        "s3://streams",
        "s3://streams/a/b=1/",
        "gs://my_streams/prod",
        "az://streams/prod",
    ];
    for location in ["/var/state", "file:///var/state", "../a b/state", "."].into_iter().chain(urls) {
        let text = edited(FILES, "uri: state", &format!("uri: \"{location}\""));

        assert_eq!(parse(&text).err(), None, "{location}");
    }
}

#[test]
fn all_ways_to_begin_and_end_a_topic_are_good() {
    let offsets = "        startFrom: Offsets
        startOffsets:
          - {topic: clicks, partition: 0, offset: 100}
          - {topic: clicks.old, partition: 0, offset: 0}
        until: Latest
";
    for begin in [
        "",
        "        startFrom: Earliest\n        until: 2026-01-31T08:00:00+01:00\n",
        "        startFrom: Latest\n",
        "        startFrom: Timestamp\n        startTime: 2026-01-31T08:00:00Z\n",
        "        startFrom: Offsets\n        startOffsets: []\n",
    ] {
        assert_eq!(parse(&edited(KAFKA, offsets, begin)).err(), None, "{begin}");
    }
}

#[test]
fn a_store_that_speaks_s3_is_named_by_endpoint_and_region() {
    for endpoint in ["http://127.0.0.1:7070", "https://minio.storage:9000/", "http://[::1]:9000"] {
        let location =
            format!("{{uri: s3://streams/prod, endpoint: \"{endpoint}\", region: eu-1, pathStyle: true}}");
        let text = edited(FILES, "{uri: state}", &location);

        assert_eq!(parse(&text).err(), None, "{location}");
    }
}

#[test]
fn one_text_stands_for_all_layouts_of_a_manifest() {
    let job = parse(FILES).expect("the base manifests are good");
    let rewritten = serde_yaml::to_string(&job).expect("a job can be written");

    let other = parse(&format!("# rewritten\n{rewritten}")).expect("what serde writes can be read");
    let wider =
        parse(&edited(FILES, "parallelism: 2", "parallelism: 3")).expect("the base manifests are good");

    assert_eq!(job.canonical(), other.canonical());
    assert_ne!(job.canonical(), wider.canonical());
}
