//! Triggers. Each database has its own language for them, so they stand apart from the tables.

/// Allows only appending the next entry to the audit log.
pub(super) const AUDIT: &str = "
    CREATE TRIGGER audit_is_not_changed BEFORE UPDATE ON audit
    BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
    CREATE TRIGGER audit_is_not_cut BEFORE DELETE ON audit
    BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
    CREATE TRIGGER audit_is_in_order BEFORE INSERT ON audit
    WHEN NEW.number IS NOT (SELECT coalesce(max(number), 0) + 1 FROM audit)
    BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
";
