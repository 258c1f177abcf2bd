//! The codes of errors.

/// The codes. Clients and dashboards may rely on them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// An argument is missing, unknown, of the wrong type or out of bounds.
    InvalidArgument,
    /// No such file or directory.
    NotFound,
    /// The path, or a link on it, leads out of the workspace.
    OutsideWorkspace,
    /// A directory where a file was meant.
    IsDirectory,
    /// A file where a directory was meant.
    NotDirectory,
    /// A FIFO, socket or device.
    NotRegular,
    /// A file that was to be new is there already.
    Exists,
    /// The text to replace is not in the file.
    NoMatch,
    /// The text to replace is in the file more than once.
    SeveralMatches,
    /// It is unknown whether a change was made.
    Uncertain,
    /// A file changed while it was being edited.
    Changed,
    /// The sandbox's user may not do that.
    PermissionDenied,
    /// The workspace is full.
    NoSpace,
    /// Over a size limit.
    TooLarge,
    /// Not UTF-8 text.
    NotText,
    /// The command's directory is not there.
    BadCwd,
    /// The image has no shell.
    NoShell,
    /// The limit of processes is reached.
    TooManyProcesses,
    /// A resource of the kernel that commands need is used up.
    ResourceExhausted,
    /// Another process of the user's kept a command from running.
    NotStarted,
    /// Too many calls or commands at once.
    Busy,
    /// The Engine cannot be reached.
    EngineUnavailable,
    /// The Engine refused.
    EngineError,
    /// The image is not there.
    ImageMissing,
    /// The image cannot be used.
    ImageUnusable,
    /// The image is still being prepared.
    ImagePreparing,
    /// The sandbox did not answer.
    SandboxUnavailable,
    /// The directory of bind mode cannot be used.
    WorkspaceUnusable,
    /// Something of our name belongs to someone else.
    Foreign,
    /// The call was cancelled.
    Cancelled,
    /// The server is ending.
    ServerEnding,
    /// Calls must be recorded and cannot be now; nothing was done.
    AuditUnavailable,
    /// The call was made and could not be recorded; its result is withheld.
    Unrecorded,
    /// Everything else.
    Internal,
}

impl Code {
    /// All of them.
    pub const ALL: &[Self] = &[
        Self::InvalidArgument,
        Self::NotFound,
        Self::OutsideWorkspace,
        Self::IsDirectory,
        Self::NotDirectory,
        Self::NotRegular,
        Self::Exists,
        Self::NoMatch,
        Self::SeveralMatches,
        Self::Uncertain,
        Self::Changed,
        Self::PermissionDenied,
        Self::NoSpace,
        Self::TooLarge,
        Self::NotText,
        Self::BadCwd,
        Self::NoShell,
        Self::TooManyProcesses,
        Self::ResourceExhausted,
        Self::NotStarted,
        Self::Busy,
        Self::EngineUnavailable,
        Self::EngineError,
        Self::ImageMissing,
        Self::ImageUnusable,
        Self::ImagePreparing,
        Self::SandboxUnavailable,
        Self::WorkspaceUnusable,
        Self::Foreign,
        Self::Cancelled,
        Self::ServerEnding,
        Self::AuditUnavailable,
        Self::Unrecorded,
        Self::Internal,
    ];

    /// As it is shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidArgument => "invalid_argument",
            Self::NotFound => "not_found",
            Self::OutsideWorkspace => "outside_workspace",
            Self::IsDirectory => "is_directory",
            Self::NotDirectory => "not_directory",
            Self::NotRegular => "not_regular",
            Self::Exists => "exists",
            Self::NoMatch => "no_match",
            Self::SeveralMatches => "several_matches",
            Self::Uncertain => "uncertain",
            Self::Changed => "changed",
            Self::PermissionDenied => "permission_denied",
            Self::NoSpace => "no_space",
            Self::TooLarge => "too_large",
            Self::NotText => "not_text",
            Self::BadCwd => "bad_cwd",
            Self::NoShell => "no_shell",
            Self::TooManyProcesses => "too_many_processes",
            Self::ResourceExhausted => "resource_exhausted",
            Self::NotStarted => "not_started",
            Self::Busy => "busy",
            Self::EngineUnavailable => "engine_unavailable",
            Self::EngineError => "engine_error",
            Self::ImageMissing => "image_missing",
            Self::ImageUnusable => "image_unusable",
            Self::ImagePreparing => "image_preparing",
            Self::SandboxUnavailable => "sandbox_unavailable",
            Self::WorkspaceUnusable => "workspace_unusable",
            Self::Foreign => "foreign",
            Self::Cancelled => "cancelled",
            Self::ServerEnding => "server_ending",
            Self::AuditUnavailable => "audit_unavailable",
            Self::Unrecorded => "unrecorded",
            Self::Internal => "internal",
        }
    }
}
