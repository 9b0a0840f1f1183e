//! Program that holds a name on the session bus and never answers.

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::process::Output;

use super::Desk;

/// Holds the name until it is dropped.
pub(crate) struct Holder {
    _stream: UnixStream,
}

impl Holder {
    pub(crate) fn open(desk: &Desk, name: &str) -> Self {
        let path = desk.bus.strip_prefix("unix:path=").unwrap().split(',').next().unwrap();
        let mut stream = UnixStream::connect(path).unwrap();
        // The daemon gets the user from the socket.
        stream.write_all(b"\0AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n").unwrap();
        stream.write_all(&call(1, "Hello", "", &[])).unwrap();
        let mut body = text(name);
        body.resize(body.len().next_multiple_of(4), 0);
        // DBUS_NAME_FLAG_DO_NOT_QUEUE
        body.extend(4_u32.to_le_bytes());
        stream.write_all(&call(2, "RequestName", "su", &body)).unwrap();
        let holds = || {
            let names =
                ["call", "--dest", "org.freedesktop.DBus", "--object-path", "/", "--method"];
            let mut command = desk.command("gdbus".as_ref());
            command.arg(names[0]).arg("--session").args(&names[1..]);
            let Output { stdout, .. } =
                command.arg("org.freedesktop.DBus.ListNames").output().unwrap();
            String::from_utf8_lossy(&stdout).contains(&format!("'{name}'")).then_some(())
        };
        super::wait_for(holds).unwrap_or_else(|| panic!("nobody holds {name}"));
        Self { _stream: stream }
    }
}

/// Encodes a method call to the bus itself, as defined by the D-Bus specification.
fn call(serial: u32, member: &str, signature: &str, body: &[u8]) -> Vec<u8> {
    let mut fields = Vec::new();
    let named = [
        (1, "o", "/org/freedesktop/DBus"),
        (2, "s", "org.freedesktop.DBus"),
        (3, "s", member),
        (6, "s", "org.freedesktop.DBus"),
    ];
    for (code, kind, value) in named {
        field(&mut fields, code, kind);
        fields.extend(text(value));
    }
    if !signature.is_empty() {
        field(&mut fields, 8, "g");
        fields.push(u8::try_from(signature.len()).unwrap());
        fields.extend(signature.bytes());
        fields.push(0);
    }
    let length = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap().to_le_bytes();
    let mut message = vec![b'l', 1, 0, 1];
    message.extend(length(body));
    message.extend(serial.to_le_bytes());
    message.extend(length(&fields));
    message.extend(fields);
    message.resize(message.len().next_multiple_of(8), 0);
    message.extend(body);
    message
}

/// Appends a header field. The header is 16 bytes long before its fields, so their alignment is the same here.
fn field(fields: &mut Vec<u8>, code: u8, kind: &str) {
    fields.resize(fields.len().next_multiple_of(8), 0);
    fields.extend([code, 1]);
    fields.extend(kind.bytes());
    fields.push(0);
}

fn text(value: &str) -> Vec<u8> {
    let mut bytes = u32::try_from(value.len()).unwrap().to_le_bytes().to_vec();
    bytes.extend(value.bytes());
    bytes.push(0);
    bytes
}
