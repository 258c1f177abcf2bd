//! The statuses of Podman's refusals.

/// Podman answers 500 where Docker answers 404 or 409. Its words, and Docker's status.
const STATUSES: [(&str, u16); 4] = [
    // A container that is being removed: 404 comes a moment later.
    ("no such container", 404),
    // A removal of a container that runs, an exec in one that does not.
    ("container state improper", 409),
    // A create and a rename.
    ("is already in use", 409),
    ("UNIQUE constraint failed: ContainerConfig.Name", 409),
];

/// The status that Docker has for a refusal in these words.
pub(super) fn status_in_dockers_words(status: u16, message: &str) -> u16 {
    let mut known = STATUSES.into_iter().filter(|_| status == 500);
    let known = known.find(|(words, _)| message.contains(words));
    known.map_or(status, |(_, of_docker)| of_docker)
}
