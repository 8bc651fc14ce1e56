//! What our own commands bring along: servers repeat it, and it says nothing of them.

/// Names and addresses that stand in the commands of a session.
pub(in crate::protocol) struct Carried {
    names: Vec<String>,
    /// So many of them stand there in every unit.
    always: usize,
}

impl Carried {
    /// Of sessions of that user.
    pub(in crate::protocol) fn by(user: &str) -> Self {
        let mut carried = Self { names: vec![user.to_owned()], always: 0 };
        if let Some((local, _)) = user.rsplit_once('@') {
            carried.names.push(local.to_owned());
        }
        carried.always = carried.names.len();
        carried
    }

    /// A new unit begins.
    pub(in crate::protocol) fn begin(&mut self) {
        self.names.truncate(self.always);
    }

    /// A command of the unit brings that along.
    pub(in crate::protocol) fn add(&mut self, name: impl Into<String>) {
        self.names.push(name.into());
    }

    pub(in crate::protocol) fn names(&self) -> &[String] {
        &self.names
    }
}
