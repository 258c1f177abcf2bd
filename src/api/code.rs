//! The codes of errors.

/// Makes the enum, the list of all codes and their texts from one list.
macro_rules! codes {
    ($($(#[doc = $doc:literal])* $name:ident = $text:literal,)*) => {
        /// The code of an error. Clients and dashboards may rely on them.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Code {
            $($(#[doc = $doc])* $name,)*
        }

        impl Code {
            /// All codes.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The code as clients see it.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }
        }
    };
}

codes! {
    /// An argument is missing, unknown, of the wrong type or out of bounds.
    InvalidArgument = "invalid_argument",
    /// No such file or directory.
    NotFound = "not_found",
    /// The path, or a link on it, leads out of the workspace.
    OutsideWorkspace = "outside_workspace",
    /// A directory where a file was meant.
    IsDirectory = "is_directory",
    /// A file where a directory was meant.
    NotDirectory = "not_directory",
    /// A FIFO, socket or device.
    NotRegular = "not_regular",
    /// A file that should be new already exists.
    Exists = "exists",
    /// The text to replace is not in the file.
    NoMatch = "no_match",
    /// The text to replace is in the file more than once.
    SeveralMatches = "several_matches",
    /// It is unknown whether a change was made.
    Uncertain = "uncertain",
    /// A file changed while it was being edited.
    Changed = "changed",
    /// The sandbox's user has no permission.
    PermissionDenied = "permission_denied",
    /// The workspace is full.
    NoSpace = "no_space",
    /// Over a size limit.
    TooLarge = "too_large",
    /// Not UTF-8 text.
    NotText = "not_text",
    /// The command's directory does not exist.
    BadCwd = "bad_cwd",
    /// The image has no shell.
    NoShell = "no_shell",
    /// The limit of processes is reached.
    TooManyProcesses = "too_many_processes",
    /// A resource of the kernel that commands need is used up.
    ResourceExhausted = "resource_exhausted",
    /// Another process of the user kept a command from running.
    NotStarted = "not_started",
    /// The user has as many workspaces as may be, and none that can go.
    TooManyWorkspaces = "too_many_workspaces",
    /// Too many calls or commands at once.
    Busy = "busy",
    /// The Engine cannot be reached.
    EngineUnavailable = "engine_unavailable",
    /// The Engine returned an error.
    EngineError = "engine_error",
    /// The image does not exist on the Engine.
    ImageMissing = "image_missing",
    /// The image cannot be used.
    ImageUnusable = "image_unusable",
    /// The image is still being prepared.
    ImagePreparing = "image_preparing",
    /// The sandbox did not answer.
    SandboxUnavailable = "sandbox_unavailable",
    /// The directory of bind mode cannot be used.
    WorkspaceUnusable = "workspace_unusable",
    /// An object of the Engine with our name does not belong to this user.
    Foreign = "foreign",
    /// The user's sandbox is one of another group, and busy.
    GroupChanged = "group_changed",
    /// The call was cancelled.
    Cancelled = "cancelled",
    /// The server is ending.
    ServerEnding = "server_ending",
    /// Calls must be recorded, but recording fails now. Nothing was done, except earlier removals of
    /// `DELETE /v1/workspace`.
    AuditUnavailable = "audit_unavailable",
    /// The call was made but could not be recorded; its result is withheld.
    Unrecorded = "unrecorded",
    /// Everything else.
    Internal = "internal",
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_two_codes_have_the_same_text() {
        let texts: HashSet<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(texts.len(), Code::ALL.len());
    }
}
