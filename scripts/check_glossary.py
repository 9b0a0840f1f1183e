#!/usr/bin/env python3
"""Glossary check: names that were replaced by the field's terms may not be defined again, and text is in American spelling.

Checks definitions (a function, type, module, constant or file), not uses: what is not defined can't be used. A word in `TERMS` maps to
the term to use. Public names that other programs read (JSON and TOML fields, settings keys, command-line flags) keep their spelling.
"""

import re
import sys
from pathlib import Path

from check_house import ROOT, tracked_files

TERMS = {
    # Types
    "Chance": "SeededRng", "Purpose": "RngDomain", "Pace": "StepRate", "Headway": "LeaseProgress", "Outlook": "RoundSnapshot",
    "Sight": "DeviceSnapshot", "Standing": "SeatLeaseState", "Earlier": "PastLease", "Gave": "ApplyOutcome", "Permit": "UploadLimit",
    "Introduction": "ConnectionSlotHolder", "Courier": "WebhookSender", "Edition": "SourceStamp", "Hopeless": "Permanent",
    "Broke": "Transient", "Say": "ProgressFn", "Voucher": "EnrollmentCredential", "Trouble": "TunnelError", "Way": "ProxyRoute",
    "Wish": "UserOverride", "Farewell": "UnenrollReport", "Leaf": "EmbeddingInput", "Compute": "ComputeDevice",
    "Fault": "RowError", "StepFault": "StepError", "Sensed": "SensorReading", "Hop": "ProxyEntry", "Rejection": "RejectedEvent",
    "Said": "a noun for what it holds", "Heard": "a noun for what it holds", "News": "JobUpdate", "Unwell": "ServerError",
    "Nonsense": "InvalidResponse", "Shared": "ApiState, or a noun for what it holds", "Labelled": "LabeledRow", "Room": "DiskQuota",
    "CatalogueEntry": "CatalogEntry", "Asked": "a noun for what it holds", "Speech": "ConnectionProtocol",
    # Functions
    "of": "from_… or what it returns", "words": "message or to_text", "say": "report or emit", "said": "a noun", "tell": "notify",
    "told": "a noun", "hear": "record", "heard": "record_…", "gave": "a noun", "say_once": "mark_sensitive",
    "tell_resumed": "notify_resumed", "step_says": "step_progress", "sort_out": "remove_unneeded", "sweep_all": "collect_garbage",
    "look_for_orphans": "remove_orphans", "lets_go": "unenrolled_by", "may_pass": "is_transient", "hindrance": "obstacle",
    "make_room_to_wait": "remove_pending_record", "name_who_has_the_machine": "update_pending_record",
    "settle_approval": "approve_or_notify", "waiting_of": "pending_by_hardware", "part_with": "end_access",
    "match_steps": "reconcile_steps", "withheld": "suspension", "outlook": "snapshot", "needed": "live_blobs",
    "PATIENCE": "…_TIMEOUT", "QUIET_ROUNDS": "IDLE_MONITOR_INTERVAL", "USUAL": "DEFAULTS",
    "Withheld": "Suspension",
    "until_told": "until_stopped", "moment": "dateTime, or a noun for what it returns",
}
# Modules, and files of the sources.
MODULES = {
    "pace": "lease_timeout or poll_interval", "outlook": "snapshot",
    "chance": "rng", "sealed": "encrypted_file", "patience": "a timeout", "strangers": "connection_limit",
    "under_way": "in_flight", "telling": "notifications", "shelf": "dataset_cache", "glance": "dataset_preview", "moment": "observer",
    "lookout": "monitors", "sweep": "garbage_collection", "roster": "device_index", "waiters": "long_polls", "desk": "lease_workspace",
    "vault": "storage_key", "voice": "status_reporter", "reach": "endpoint", "pinned": "pinned_tls",
    "first_contact": "typed_code_join", "enrol": "enroll", "whereabouts": "coordinator_locator", "candidates": "address_candidates",
    "wish": "user_override", "ledger": "contribution_log", "resting": "idle_memory", "coordinating": "embedded_coordinator",
    "door": "in_process_client", "keeping_awake": "sleep_inhibitor", "meaning": "column_inference",
    "picture": "image_decode", "course": "simulation", "crew": "worker_pool", "bones": "skeletons", "lanes": "timeline",
}
# Names of other projects, or a term of the field in that place: (path, name).
ALLOWED = {
    ("crates/node/src/commands/doctor/reach.rs", "reach"),
}
ASSOCIATED = re.compile(r"^\s*type (Rejection|Response|Future|Error)\s*=")
DEFINITION = {
    ".rs": re.compile(r"\b(?:fn|struct|enum|trait|type|const|static|union)\s+(\w+)"),
    ".ts": re.compile(r"\b(?:function|class|type|interface)\s+(\w+)\s*[(<{=]"),
    ".svelte": re.compile(r"\b(?:function|class|type|interface)\s+(\w+)\s*[(<{=]"),
    ".py": re.compile(r"\b(?:def|class)\s+(\w+)"),
}
TEXT = {".rs", ".ts", ".svelte", ".py", ".md", ".sh", ".toml", ".html"}
BRITISH = re.compile(
    r"\b(enrol(?:s|ment|ments)?|licence[sd]?|colour(?:s|ed|ing)?|behaviour\w*|neighbour\w*|catalogue[sd]?|honour\w*|favour\w*"
    r"|centre[sd]?|cancell?able|labell(?:ed|ing)|travell(?:ed|ing|er)|modell(?:ed|ing)|initialis\w+|serialis\w+|normalis\w+|organis\w+"
    r"|optimis(?:e|es|ed|er|ing|ation)\b|recognis\w+|summaris\w+|analys(?:e|es|ed|ing)\b|grey)\b",
    re.IGNORECASE,
)
# Kept public names: the CLI's old spelling, JSON, TOML and settings keys, addresses, and what others define.
KEPT = re.compile(
    r"[`'\"#/_-]enrol(?:led|ment|s)?\b|\benrol(?:led|ment)?[_`'\"]|_(?:enrolled|enrolment)\b|\benrolled_at\b|\.licence\b|\blicence(?::|\?:|,|\s*=)"
    r"|\bLICENCE\b|[`\"]licence[`\"]|\{licence\}|\bgrey(?=[.\[\s]*(?:tobytes|=|[-+*]))",
)


def main():
    found = []
    for path in tracked_files():
        if Path(path).suffix not in TEXT or path == "CHANGELOG.md" or path.startswith("scripts/check_glossary"):
            continue
        try:
            found += problems(path, (ROOT / path).read_text(encoding="utf-8"))
        except (UnicodeDecodeError, FileNotFoundError):
            continue
    for problem in found:
        print(f"glossary: {problem}", file=sys.stderr)
    return 1 if found else 0


def problems(path, text):
    """Lists the old names that one file defines and its British spellings."""
    name = Path(path).stem
    if "/src/" in path and Path(path).suffix in DEFINITION and name in MODULES and (path, name) not in ALLOWED:
        yield f"{path}: a file named '{name}': use {MODULES[name]}"
    definition = DEFINITION.get(Path(path).suffix)
    for number, line in enumerate(text.splitlines(), 1):
        code = line.split("//")[0]
        for word in definition.findall(code) if definition and not ASSOCIATED.match(line) else ():
            if word in TERMS and (path, word) not in ALLOWED:
                yield f"{path}:{number}: '{word}': use {TERMS[word]}"
        for found in BRITISH.finditer(KEPT.sub("", line)):
            yield f"{path}:{number}: '{found.group()}': American spelling"


if __name__ == "__main__":
    sys.exit(main())
