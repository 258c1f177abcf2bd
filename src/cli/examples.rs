//! Examples of each verb, for its manual page. A test parses each line.

/// A command line as a person types it, and what it does.
pub(super) type Example = (&'static str, &'static str);

/// By the words of the verb; those of the program itself have none.
pub(super) const EXAMPLES: &[(&str, &[Example])] = &[
    (
        "",
        &[
            ("casemate doctor", "Checks whether this machine can serve."),
            (
                "casemate serve --http 127.0.0.1:8080 --auth tokens --tokens-file tokens.toml",
                "Serves over HTTP. Each request needs a token.",
            ),
            ("casemate ps --watch", "Shows what runs, again every 2 s."),
        ],
    ),
    (
        "serve",
        &[
            (
                "casemate serve",
                "Serves the client that started it, on standard input and output.",
            ),
            (
                "casemate serve --http 8080 --admin 18080",
                "Serves over HTTP at 127.0.0.1:8080, with metrics and health at 127.0.0.1:18080.",
            ),
            (
                "casemate serve --http 127.0.0.1:8080 --config /etc/casemate/casemate.toml",
                "The same, with the settings of a file.",
            ),
        ],
    ),
    (
        "doctor",
        &[
            (
                "casemate doctor --config /etc/casemate/casemate.toml",
                "Checks the settings of a server, its Engine and its host.",
            ),
            (
                "casemate doctor --json > findings.json",
                "The same for a program; the exit code is that of a monitoring plugin.",
            ),
        ],
    ),
    (
        "ps",
        &[
            ("casemate ps", "Lists the sandboxes of all users."),
            (
                "casemate ps ada",
                "Lists ada's sandboxes, and each command that runs in them with its id.",
            ),
            (
                "casemate ps --size",
                "Also says how large each workspace is, which takes longer.",
            ),
            ("casemate ps --watch", "Looks again every 2 s until Ctrl-C."),
            (
                "casemate ps ada --watch --json | head --lines 3",
                "Prints a line of JSON for each of three looks.",
            ),
        ],
    ),
    (
        "users",
        &[
            (
                "casemate users",
                "Lists all workspaces with size, age, last use, newest backup and hold.",
            ),
            (
                "casemate users --quick",
                "Leaves out sizes, and the last use of workspaces without a sandbox.",
            ),
            (
                "casemate users --json > workspaces.json",
                "The same for a program, with whole names.",
            ),
        ],
    ),
    (
        "workspaces",
        &[(
            "casemate workspaces ada",
            "Lists ada's workspaces with state, size, last use and hold.",
        )],
    ),
    (
        "exec",
        &[
            (
                "casemate exec ada -- 'df -h .'",
                "Runs a script in ada's sandbox, with its output and exit code.",
            ),
            (
                "casemate exec ada --workspace chat-1 -- ls -l",
                "Runs a program in one of ada's named workspaces.",
            ),
            (
                "casemate exec ada -- 'tar c src' > src.tar",
                "Copies a directory out of the workspace.",
            ),
            (
                "casemate exec bob --create --timeout 60 -- python3 - < report.py",
                "Makes a sandbox for a new user, and ends the program after a minute.",
            ),
        ],
    ),
    (
        "stop",
        &[
            (
                "casemate stop ada 0123456789abcdef0123456789abcdef",
                "Ends one command, with all that it started. casemate ps ada shows the ids.",
            ),
            (
                "casemate stop ada --all",
                "Ends everything that ada runs, and leaves her sandboxes and files.",
            ),
            (
                "casemate stop ada --all --workspace chat-1 --json",
                "Only in one of her workspaces, and says as JSON what was ended.",
            ),
        ],
    ),
    (
        "rm",
        &[
            (
                "casemate rm ada",
                "Ends ada's idle sandboxes. The files stay, and the next call makes a sandbox.",
            ),
            (
                "casemate rm ada --force",
                "Also those in which commands run.",
            ),
            (
                "casemate rm ada --workspace chat-1 --volume",
                "Also removes the files of one workspace, for good.",
            ),
        ],
    ),
    (
        "gc",
        &[
            (
                "casemate gc --dry-run",
                "Lists what would be removed, and what stays and why.",
            ),
            ("casemate gc", "Removes it now."),
            (
                "casemate gc --volume-retention 90d --backup-target /srv/backups",
                "Also removes workspaces that were unused for 90 days, each after a backup.",
            ),
        ],
    ),
    (
        "hold",
        &[
            ("casemate hold ada", "Keeps ada's own workspace at any age."),
            (
                "casemate hold ada --workspace chat-1 --release",
                "Releases the hold on one of ada's named workspaces.",
            ),
            (
                "casemate hold bob --issuer local",
                "Holds a workspace that does not exist yet.",
            ),
        ],
    ),
    (
        "backup",
        &[
            (
                "casemate backup ada --to /srv/backups",
                "Backs up all workspaces of ada to a directory.",
            ),
            (
                "casemate backup --all --to s3://bucket/casemate",
                "Backs up all workspaces of the instance to a bucket.",
            ),
        ],
    ),
    (
        "backup verify",
        &[
            (
                "casemate backup verify --all --from /srv/backups",
                "Reads the newest backup of each workspace, and compares it with its hashes.",
            ),
            (
                "casemate backup verify ada --id 20260131T235959.123Z-0a1b2c3d",
                "One backup, in the store that the settings name.",
            ),
        ],
    ),
    (
        "backup list",
        &[
            (
                "casemate backup list --from /srv/backups",
                "Lists all backups, also when the Engine has lost everything.",
            ),
            ("casemate backup list ada", "Lists those of ada."),
        ],
    ),
    (
        "restore",
        &[
            (
                "casemate restore ada --from /srv/backups",
                "Replaces ada's own workspace by its newest backup.",
            ),
            (
                "casemate restore ada --workspace chat-1 --id 20260131T235959.123Z-0a1b2c3d --force",
                "Restores one backup of a named workspace, and ends what runs in it first.",
            ),
        ],
    ),
    (
        "migrate",
        &[
            (
                "casemate migrate ada",
                "Moves ada's workspaces of an older version to a uid of her own.",
            ),
            ("casemate migrate --all", "Moves those of all users."),
        ],
    ),
    (
        "shared",
        &[
            (
                "casemate shared put models ./models",
                "Makes a directory the new version of the share models.",
            ),
            ("casemate shared list", "Lists the versions of all shares."),
        ],
    ),
    (
        "shared put",
        &[
            (
                "casemate shared put models ./models --now",
                "Also ends idle sandboxes, so that their next call has the new version.",
            ),
            (
                "tar c models | casemate shared put models -",
                "The same from a tar archive.",
            ),
        ],
    ),
    (
        "shared list",
        &[(
            "casemate shared list",
            "Lists the versions of all shares, and who holds each.",
        )],
    ),
    (
        "shared rm",
        &[(
            "casemate shared rm models",
            "Removes all versions of a share that no sandbox has.",
        )],
    ),
    (
        "settings",
        &[
            (
                "casemate settings ada",
                "Shows the settings of ada's sandbox, and where each value is from.",
            ),
            (
                "casemate settings ada --issuer https://id.example.com --claim department=analysis",
                "The same for a user whose group depends on the access token.",
            ),
        ],
    ),
    (
        "egress",
        &[
            (
                "casemate egress show ada",
                "Shows what ada's sandbox may reach.",
            ),
            (
                "casemate egress denied --since 1h",
                "Lists what sandboxes were refused in the last hour.",
            ),
        ],
    ),
    (
        "egress show",
        &[(
            "casemate egress show ada --group analysts",
            "Shows what ada's sandbox may reach as a member of a group.",
        )],
    ),
    (
        "egress check",
        &[(
            "casemate egress check ada packages.example.com:443",
            "Says whether ada's sandbox may reach this host, and by which rule.",
        )],
    ),
    (
        "egress denied",
        &[
            (
                "casemate egress denied",
                "Lists what sandboxes were refused in the last day, from the audit.",
            ),
            (
                "casemate egress denied ada --since 15m --json",
                "Only of ada, lately, as JSON.",
            ),
        ],
    ),
    (
        "egress learn",
        &[(
            "casemate egress learn --allow packages.example.com --directory . -- make test",
            "Runs a command in a copy of this directory, and lists the hosts that it was refused.",
        )],
    ),
    (
        "audit",
        &[(
            "casemate audit verify /var/log/casemate",
            "Checks that no line of the audit was changed, removed or moved.",
        )],
    ),
    (
        "audit verify",
        &[
            (
                "casemate audit verify /var/log/casemate",
                "Prints file and line of what was changed, removed or moved, and ends with 2.",
            ),
            (
                "casemate audit verify --json /var/log/casemate > heads.json",
                "Also prints the hash that each file ends with, to be kept elsewhere.",
            ),
        ],
    ),
    (
        "token",
        &[
            (
                "casemate token --user ada --append tokens.toml",
                "Makes a token of ada, adds its hash to a file, and prints the token once.",
            ),
            (
                "casemate token --delegate webapp --scopes tools --append tokens.toml",
                "Makes a token of an application that names its own users in each request.",
            ),
            (
                "casemate token --admin --append operators.toml",
                "Makes a token of an operator, for the console at the admin address.",
            ),
        ],
    ),
    (
        "prepare-image",
        &[(
            "casemate prepare-image --image debian:12",
            "Prints casemate-prepared:..., which `docker tag` and `docker push` bring to a registry.",
        )],
    ),
    (
        "release",
        &[(
            "casemate release ada",
            "Frees ada's workspace after its node was lost for good.",
        )],
    ),
    (
        "tools-image",
        &[(
            "casemate tools-image | docker build --tag casemate-tools:latest -",
            "Makes the image of sandboxes on a machine that has only this program.",
        )],
    ),
    (
        "completions",
        &[(
            "casemate completions bash > /etc/bash_completion.d/casemate",
            "Installs the completions for bash.",
        )],
    ),
    (
        "man",
        &[(
            "casemate man /usr/share/man/man1",
            "Writes the manual pages to the directory where man(1) looks for them.",
        )],
    ),
];

/// Those of the verb with these words.
pub(super) fn of(verb: &str) -> &'static [Example] {
    let found = EXAMPLES.iter().find(|(name, _)| *name == verb);
    found.map_or(&[], |(_, examples)| examples)
}

#[cfg(test)]
mod tests;
