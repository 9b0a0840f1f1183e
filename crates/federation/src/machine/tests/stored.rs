//! Machines stored by version 5 of the database, as one JSON document, continue as they did there.
//!
//! `stored/version_5.json` was written by that version. It never changes.

use serde_json::json;

use super::*;

/// Machines in different states.
fn machines() -> Vec<(&'static str, Machine)> {
    let strategy = json!({
        "run": {"rounds": 4, "minimum_fraction": 0.5, "round_deadline": "2h"},
        "strategy": {"fraction": 0.9}
    });
    let pending = machine(strategy.clone());
    let mut preparing = pending.clone();
    preparing.handle(at(0), Event::Start).unwrap();
    let mut running = super::running(7, strategy);
    let mut run = |seconds: i64, event: Event| drop(running.handle(at(seconds), event).unwrap());
    // Round 1: one lease lapses and another device's update takes its seat.
    run(1, request(1, 1));
    run(2, progress(1, 1, 1));
    run(100, Event::Tick);
    for number in 2..=8 {
        run(100, request(number, number));
        run(101, progress(number, number, 1));
        run(105, progress(number, number, 4));
        run(110, update_of_norm(number, number, &format!("update {number}"), number as f64));
    }
    run(111, aggregated(1));
    run(112, evaluated(1, 0.4));
    // Round 2: held, accepted, failed, rejected, short of memory and disk, lapsed.
    run(113, request(11, 1));
    run(114, progress(11, 1, 2));
    run(114, request(12, 2));
    run(115, update_of_norm(12, 2, "second", 2.5));
    run(115, request(13, 3));
    run(116, returned(13, 3, ReturnReason::Failed));
    run(117, request(14, 4));
    run(118, returned(14, 4, ReturnReason::Memory));
    run(118, request(15, 5));
    run(119, returned(15, 5, ReturnReason::Disk));
    run(119, request(16, 6));
    run(120, progress(16, 6, 1));
    run(121, heartbeat(11, 1, 77));
    run(170, heartbeat(11, 1, 99));
    run(180, Event::Tick);
    run(181, request(17, 7));
    run(182, heartbeat(17, 7, 5));
    let refused = Event::Refused { lease: lease(17), device: device(7), reason: "NaN".to_owned() };
    run(183, refused);
    run(184, request(18, 8));
    let mut paused = running.clone();
    paused.handle(at(185), Event::Pause).unwrap();
    let mut failed = running.clone();
    failed.handle(at(185), Event::Cancel).unwrap();
    vec![
        ("pending", pending),
        ("preparing", preparing),
        ("running", running),
        ("paused", paused),
        ("cancelled", failed),
    ]
}

/// Results of a fixed sequence of events.
fn continued(machine: &mut Machine) -> Vec<String> {
    let mut results = vec![format!("{:?}", machine.outstanding())];
    let mut run = |seconds: i64, event: Event| {
        let result = machine.handle(at(seconds), event);
        let view = (machine.status(), machine.reason(), machine.deadline(), machine.snapshot());
        let shown = format!("{result:?} {view:?} {:?}", machine.history().next_back());
        // Version 5 did not know this field.
        results.push(shown.replace("short_of_disk: {}, ", ""));
    };
    run(190, Event::Resume);
    run(190, Event::Start);
    run(190, Event::Prepared(Box::new(preparation(7))));
    run(191, heartbeat(11, 1, 120));
    run(191, progress(16, 6, 2));
    run(192, update(1, 1, "too late"));
    run(192, update(2, 2, "update 2"));
    run(193, request(21, 1));
    run(193, request(22, 3));
    run(194, request(23, 4));
    run(194, request(24, 9));
    run(195, request(25, 2));
    run(196, returned(18, 8, ReturnReason::Failed));
    run(197, update_of_norm(11, 1, "large", 1e9));
    run(198, update_of_norm(11, 1, "eleven", 3.0));
    run(198, update_of_norm(12, 2, "another second", 3.0));
    run(400, Event::Tick);
    run(401, update(13, 3, "after all"));
    for number in 30..40 {
        run(401 + i64::try_from(number).unwrap(), request(number, number));
        run(402 + i64::try_from(number).unwrap(), update(number, number, &format!("{number}")));
    }
    run(500, aggregated(1));
    run(500, aggregated(2));
    run(501, evaluated(1, 0.5));
    run(501, evaluated(2, 0.5));
    for number in 51..60 {
        run(502, request(number, number - 50));
        run(503, update(number, number - 50, &format!("third {number}")));
    }
    run(504, aggregated(3));
    run(505, evaluated(3, 0.6));
    run(506, update(12, 2, "second"));
    run(506, update(2, 2, "update 2"));
    run(507, Event::Complete);
    run(508, registered());
    results
}

#[derive(serde::Deserialize)]
struct Stored {
    machine: Head,
    results: Vec<String>,
}

#[test]
fn a_document_of_version_5_continues_as_it_did_there() {
    let stored = include_str!("stored/version_5.json");
    let stored: std::collections::BTreeMap<String, Stored> = serde_json::from_str(stored).unwrap();
    let machines = machines();
    assert_eq!(stored.len(), machines.len());
    for (name, mut machine) in machines {
        let Stored { machine: head, results } = &stored[name];
        let mut restored = MachineRows::new(head.clone()).machine().unwrap();
        assert_eq!(restored, machine, "{name}");
        assert_eq!(reload(&restored), restored, "{name}");
        assert_eq!(&continued(&mut machine), results, "{name}");
        assert_eq!(&continued(&mut restored), results, "{name}");
    }
}

#[test]
fn a_missing_part_is_named() {
    let machine = super::running(2, json!({}));
    let parts = MachineRows::new(machine.all_rows().head);
    assert_eq!(parts.machine().unwrap_err().to_string(), "its preparation is missing");
}
