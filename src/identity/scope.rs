//! The scopes of a credential.

/// One thing that a credential may allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// The tools, over MCP and at `/v1/exec`.
    Tools,
    /// The workspace's files, over plain HTTP.
    Files,
}

/// The scopes of a credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scopes {
    /// The tools, over MCP and at `/v1/exec`.
    pub tools: bool,
    /// The workspace's files, over plain HTTP.
    pub files: bool,
}

impl Scopes {
    /// Everything.
    pub const ALL: Self = Self {
        tools: true,
        files: true,
    };

    /// Nothing.
    pub const NONE: Self = Self {
        tools: false,
        files: false,
    };

    /// These and one more.
    #[must_use]
    pub fn with(mut self, scope: Scope) -> Self {
        match scope {
            Scope::Tools => self.tools = true,
            Scope::Files => self.files = true,
        }
        self
    }

    /// The scopes that are in both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            tools: self.tools && other.tools,
            files: self.files && other.files,
        }
    }

    /// Whether `scope` is among them.
    pub fn has(self, scope: Scope) -> bool {
        match scope {
            Scope::Tools => self.tools,
            Scope::Files => self.files,
        }
    }
}

impl Scope {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Tools, Self::Files];

    /// The word for it, in files and in tokens.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tools => "tools",
            Self::Files => "files",
        }
    }

    /// The scope with this word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == word)
    }
}
