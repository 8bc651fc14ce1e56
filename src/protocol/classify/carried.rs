//! What our own commands bring along: servers repeat it, and it says nothing of them.

/// How the names of the mailboxes begin that a run makes for itself.
const SCRATCH: &str = "mailconn-";

/// Names and addresses that stand in the commands of a session.
pub(in crate::protocol) struct Carried {
    names: Vec<String>,
    /// So many of them stand there in every unit.
    always: usize,
}

impl Carried {
    /// Of sessions of that user. One who is called like words that servers use, such as `limit`, is meant only where marks
    /// show that it is a name.
    pub(in crate::protocol) fn by(user: &str) -> Self {
        let local = user.rsplit_once('@').map(|(local, _)| local);
        let mut carried = Self { names: Vec::new(), always: 0 };
        carried.names.extend([user].into_iter().chain(local).flat_map(marked));
        carried.always = carried.names.len();
        carried
    }

    /// A new unit begins.
    pub(in crate::protocol) fn begin(&mut self) {
        self.names.truncate(self.always);
    }

    /// A command of the unit brings that along.
    pub(in crate::protocol) fn add(&mut self, name: impl Into<String>) {
        let name = name.into();
        if let Some((local, _)) = name.rsplit_once('@') {
            self.names.push(local.trim_start_matches('<').to_owned());
        }
        // A mailbox of ours stands under one that somebody named.
        if let Some((parent, _)) = name.rsplit_once(SCRATCH) {
            self.names.push(parent.trim_end_matches(|c: char| c.is_ascii_punctuation()).to_owned());
        }
        self.names.push(name);
        // A name that holds another goes before it.
        self.names[self.always..].sort_by_key(|name| std::cmp::Reverse(name.len()));
    }

    /// The same of a name that is one word, such as a host's.
    pub(in crate::protocol) fn add_host(&mut self, name: &str) {
        self.names.extend(marked(name));
    }

    pub(in crate::protocol) fn names(&self) -> &[String] {
        &self.names
    }
}

/// The name; of one that is a word of refusals, what shows that it is a name.
fn marked(name: &str) -> Vec<String> {
    if name.split(|c: char| !c.is_alphanumeric()).any(|word| !super::speaks_of(&word.to_lowercase())) {
        return vec![name.to_owned()];
    }
    let marks = [("\"", "\""), ("'", "'"), ("<", ">"), ("[", "]"), ("=", "")];
    marks.map(|(before, behind)| format!("{before}{name}{behind}")).to_vec()
}

#[cfg(test)]
mod tests {
    use super::Carried;

    #[test]
    fn a_part_that_servers_repeat_alone_is_carried_too() {
        let mut carried = Carried::by("joe@example.org");
        carried.add("rate limit@example.org");
        carried.add("too many connections/mailconn-1-w0");
        for name in ["joe", "rate limit", "too many connections"] {
            assert!(carried.names().iter().any(|it| it == name), "{name}: {:?}", carried.names());
        }
        carried.begin();
        assert_eq!(carried.names(), ["joe@example.org", "joe"]);
        let carried = Carried::by("limit");
        assert!(carried.names().iter().all(|name| name != "limit" && name.contains("limit")), "{:?}", carried.names());
    }
}
