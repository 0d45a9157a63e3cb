//! The records that a harness reads from descriptor 8 before it says `READY`.

/// Which checks are in force, for the harness's hooks, which only explain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Layers {
    /// A kernel sandbox is in force; without it the hooks are the only check.
    pub kernel: bool,
    /// The hooks report each variable that is looked up, and each directory that user code lists.
    pub learn: bool,
    /// Everything may be read.
    pub read_all: bool,
    /// Everything may be written.
    pub write_all: bool,
    /// Any host may be connected to.
    pub net: bool,
    /// Any program may be executed.
    pub exec: bool,
}

/// Writes the records.
#[derive(Default)]
pub struct SetUp {
    bytes: Vec<u8>,
}

impl SetUp {
    /// An item of `sys.argv[1:]`.
    pub fn arg(&mut self, value: &[u8]) {
        self.record(1, value);
    }

    /// A path prefix, of whole components, that can be read inside.
    pub fn readable(&mut self, prefix: &[u8]) {
        self.record(2, prefix);
    }

    /// A path prefix, of whole components, that can be written inside.
    pub fn writable(&mut self, prefix: &[u8]) {
        self.record(3, prefix);
    }

    /// What the hooks need not, or must, look at.
    pub fn layers(&mut self, layers: Layers) {
        self.record(5, &[u8::from(layers.kernel) | u8::from(layers.learn) << 1]);
        let all = [(layers.read_all, 1), (layers.write_all, 2), (layers.net, 4), (layers.exec, 8)];
        self.record(6, &[all.into_iter().filter(|(on, _)| *on).map(|(_, bit)| bit).sum()]);
    }

    /// Nothing can be read or written at or below this path, although a readable one lies above it.
    pub fn masked(&mut self, prefix: &[u8]) {
        self.record(7, prefix);
    }

    /// Nothing can be written at or below this path, although a writable one lies above it.
    pub fn kept(&mut self, prefix: &[u8]) {
        self.record(12, prefix);
    }

    /// A file of the sandbox's own in the place of a host's.
    pub fn stand_in(&mut self, path: &[u8]) {
        self.record(8, path);
    }

    /// The real path of a program that may be executed.
    pub fn program(&mut self, path: &[u8]) {
        self.record(13, path);
    }

    /// The records as they are handed over.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    fn record(&mut self, tag: u8, value: &[u8]) {
        self.bytes.push(tag);
        self.bytes.extend_from_slice(&(value.len() as u32).to_le_bytes());
        self.bytes.extend_from_slice(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_tag_length_bytes() {
        let mut records = SetUp::default();
        records.arg(b"a");
        records.layers(Layers { kernel: true, exec: true, ..Layers::default() });
        records.layers(Layers { kernel: true, learn: true, ..Layers::default() });
        let expected = [1, 1, 0, 0, 0, b'a', 5, 1, 0, 0, 0, 1, 6, 1, 0, 0, 0, 8, 5, 1, 0, 0, 0, 3, 6, 1, 0, 0, 0, 0];
        assert_eq!(records.into_bytes(), expected);
    }
}
